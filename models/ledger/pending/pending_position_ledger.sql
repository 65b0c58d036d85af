{%- set totals = ["realized_pnl", "fee", "notional", "feeless_notional"] -%}
{%- set key = "account, strategy_id, symbol" -%}
with
    -- The cursor of the fills is written behind them: up to its revision all of them
    -- are there.
    (
        select intDiv(max(revision), 2)
        from {{ ref("position_ledger") }}
        where account = ''
    ) as fills_done,
    (
        select max(revision) + 1
        from {{ ref("trade_execution_fact") }}
        where account = ''
    ) as fills_until,
    changed as (
        select {{ key }}, min((executed_at, sequence, fill_id)) as first_change
        from {{ ref("trade_execution_fact") }}
        where revision > fills_done and revision <= fills_until and account != ''
        group by {{ key }}
    ),
    standing as (
        select
            {{ key }},
            (executed_at, sequence, fill_id) as position,
            (
                checkpoint
                {%- for total in totals %}, cumulative_{{ total }}{%- endfor %}
            ) as state
        from {{ ref("position_ledger") }} final
        where ({{ key }}) in (select {{ key }} from changed)
    ),
    -- What the last row before the first change of each key left: its checkpoint and
    -- its totals.
    opening as (
        select
            {{ key }},
            any(changed.first_change) as first_change,
            argMaxIf(
                standing.state,
                standing.position,
                standing.position < changed.first_change
            ) as state
        from standing
        right join changed using ({{ key }})
        group by {{ key }}
    ),
    fills as (
        select
            {{ key }},
            (opening.first_change, opening.state) as origin,
            cast(opening.state .1, $${{ checkpoint_type() }}$$) as checkpoint,
            fact.executed_at as executed_at,
            fact.sequence as sequence,
            fact.fill_id as fill_id,
            fact.order_id as order_id,
            if(fact.side = 'sell', - fact.quantity, fact.quantity) as signed_quantity,
            fact.price as price,
            fact.notional as notional,
            fact.fee as fee
        from {{ ref("trade_execution_fact") }} as fact final
        inner join opening using ({{ key }})
        where
            ({{ key }}) in (select {{ key }} from changed)
            and (fact.executed_at, fact.sequence, fact.fill_id)
            > (checkpoint.executed_at, checkpoint.sequence, checkpoint.fill_id)
    ),
    {{ ledger_steps() }}
select
    * except (origin, next_checkpoint),
    {%- for total, amount in [
        ("realized_pnl", "gross_realized_pnl"), ("fee", "ifNull(fee, 0)"), ("notional", "notional"),
        ("feeless_notional", "if(fee is null, notional, 0)")
    ] %}
        origin .2.{{ loop.index + 1 }}
        + sum({{ amount }}) over arrival as cumulative_{{ total }},
    {%- endfor %}
    next_checkpoint as checkpoint,
    toUInt8(0) as is_deleted,
    2 * fills_until + 1 as revision
from ledger_rows
where (executed_at, sequence, fill_id) >= origin .1
window
    arrival as (
        partition by {{ key }}
        order by ordinal
        rows between unbounded preceding and current row
    )
union all
-- The removal of every row whose fill is gone, and the cursor: a row that no reader
-- sees, as the cursor of the fills is among their removed ones. A row that was just
-- written under the same key wins over this.
select
    {{ key }},
    executed_at,
    sequence,
    fill_id,
    order_id,
    toUInt64(0) as ordinal,
    toDecimal128(0, 9) as signed_quantity,
    price,
    notional,
    fee,
    {%- for column in ["position_before:9", "position_after:9", "open_cost:12", "open_fee:12"] %}
        toDecimal128(0, {{ column.split(":")[1] }}) as {{ column.split(":")[0] }},
    {%- endfor %}
    0. as open_time,
    {%- for column in ["closed_quantity:9", "gross_realized_pnl:12", "closing_fee:12"] %}
        toDecimal128(0, {{ column.split(":")[1] }}) as {{ column.split(":")[0] }},
    {%- endfor %}
    null as holding_seconds,
    {%- for total in totals %}
        toDecimal128(0, 12) as cumulative_{{ total }},
    {%- endfor %}
    defaultValueOfTypeName($${{ checkpoint_type() }}$$) as checkpoint,
    toUInt8(1) as is_deleted,
    2 * fills_until as revision
from {{ ref("trade_execution_fact") }} as fact
where
    fact.revision > fills_done and fact.revision <= fills_until and fact.is_deleted = 1
