{%- set columns -%}
account, strategy_id, symbol, executed_at, sequence, fill_id, order_id, ordinal, signed_quantity, price, notional, fee,
position_before, position_after, open_cost, open_fee, open_time, closed_quantity, gross_realized_pnl, closing_fee,
holding_seconds, cumulative_realized_pnl, cumulative_fee, cumulative_notional, cumulative_feeless_notional
{%- endset %}
{%- set changed_positions -%}
(
            select account, strategy_id, symbol, min(first_change) as first_change
            from {{ to_do(ref("changed_position")) }}
            group by account, strategy_id, symbol
        )
{%- endset %}
{%- set changed_keys -%}
(select account, strategy_id, symbol from {{ to_do(ref("changed_position")) }})
{%- endset %}
with
    (
        select intDiv(max(revision), 2)
        from {{ ref("position_ledger") }}
        where account = ''
    ) as batches_done,
    {{ newest_batch(ref("changed_position")) }} as newest_batch,
    -- The last standing row of each changed key before its first change: the state
    -- from which the key is rewritten.
    opening as (
        select ledger.*
        from {{ ref("position_ledger") }} as ledger final
        inner join
            {{ changed_positions }} as changed using (account, strategy_id, symbol)
        where
            (account, strategy_id, symbol) in {{ changed_keys }}
            and (ledger.executed_at, ledger.sequence, ledger.fill_id)
            < changed.first_change
        order by ledger.executed_at desc, ledger.sequence desc, ledger.fill_id desc
        limit 1 by account, strategy_id, symbol
    ),
    fills as (
        select fact.*
        from {{ ref("trade_execution_fact") }} as fact final
        inner join
            {{ changed_positions }} as changed using (account, strategy_id, symbol)
        where
            (account, strategy_id, symbol) in {{ changed_keys }}
            and (fact.executed_at, fact.sequence, fact.fill_id) >= changed.first_change
    ),
    movements as (
        select
            toUInt8(1) as is_fill,
            account,
            strategy_id,
            symbol,
            executed_at,
            sequence,
            fill_id,
            order_id,
            if(side = 'sell', - quantity, quantity) as signed_quantity,
            price,
            notional,
            fee,
            toDecimal128(0, 12) as open_cost_base,
            toDecimal128(0, 12) as open_fee_base,
            0. as open_time_base,
            toUInt64(0) as ordinal_base,
            toDecimal128(0, 12) as cumulative_realized_pnl_base,
            toDecimal128(0, 12) as cumulative_fee_base,
            toDecimal128(0, 12) as cumulative_notional_base,
            toDecimal128(0, 12) as cumulative_feeless_notional_base
        from fills
        union all
        select
            toUInt8(0) as is_fill,
            account,
            strategy_id,
            symbol,
            executed_at,
            sequence,
            fill_id,
            order_id,
            position_after as signed_quantity,
            price,
            toDecimal128(0, 12) as notional,
            cast(null as Nullable(Decimal(38, 12))) as fee,
            open_cost as open_cost_base,
            open_fee as open_fee_base,
            open_time as open_time_base,
            ordinal as ordinal_base,
            cumulative_realized_pnl as cumulative_realized_pnl_base,
            cumulative_fee as cumulative_fee_base,
            cumulative_notional as cumulative_notional_base,
            cumulative_feeless_notional as cumulative_feeless_notional_base
        from opening
    )
select {{ columns }}, toUInt8(0) as is_deleted, 2 * newest_batch + 1 as revision
from
    (
        select
            *,
            {{ money("cost_after") }} as open_cost,
            {{ money("fee_after") }} as open_fee,
            time_after as open_time
        from ({{ ledger_rows("movements") }})
    )
where is_fill = 1
union all
-- Remove what stood behind the first change; a row that was just written again under
-- the same key wins over this.
select {{ columns }}, toUInt8(1) as is_deleted, 2 * newest_batch as revision
from
    (
        select ledger.*
        from {{ ref("position_ledger") }} as ledger final
        inner join
            {{ changed_positions }} as changed using (account, strategy_id, symbol)
        where
            (account, strategy_id, symbol) in {{ changed_keys }}
            and (ledger.executed_at, ledger.sequence, ledger.fill_id)
            >= changed.first_change
    )
union all
-- The cursor: a row that no reader sees, written together with the rows for which it
-- stands.
select
    '' as account,
    '' as strategy_id,
    '' as symbol,
    toDateTime64(0, 6, 'UTC') as executed_at,
    toUInt64(0) as sequence,
    'cursor' as fill_id,
    toUUIDOrZero('') as order_id,
    toUInt64(0) as ordinal,
    {%- for column in ["signed_quantity:9", "price:12", "notional:12"] %}
        toDecimal128(0, {{ column.split(":")[1] }}) as {{ column.split(":")[0] }},
    {%- endfor %}
    null as fee,
    {%- for column in ["position_before:9", "position_after:9", "open_cost:12", "open_fee:12"] %}
        toDecimal128(0, {{ column.split(":")[1] }}) as {{ column.split(":")[0] }},
    {%- endfor %}
    0. as open_time,
    {%- for column in ["closed_quantity:9", "gross_realized_pnl:12", "closing_fee:12"] %}
        toDecimal128(0, {{ column.split(":")[1] }}) as {{ column.split(":")[0] }},
    {%- endfor %}
    null as holding_seconds,
    {%- for column in ["realized_pnl", "fee", "notional", "feeless_notional"] %}
        toDecimal128(0, 12) as cumulative_{{ column }},
    {%- endfor %}
    toUInt8(1) as is_deleted,
    2 * newest_batch + 1 as revision
from system.one
where newest_batch > batches_done
