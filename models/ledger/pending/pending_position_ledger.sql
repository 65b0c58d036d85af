{%- set is_adjusted = has_adjustments() -%}
-- depends_on: {{ ref("opening_positions") }}
-- depends_on: {{ ref("corporate_actions") }}
{%- set key = "account, strategy_id, symbol" -%}
{%- set moment = "executed_at, sequence, fill_id" -%}
{%- set change_type -%}
Array(Tuple(
    account String, strategy_id String, symbol String,
    first_change Tuple(DateTime64(6, 'UTC'), UInt64, String), is_late UInt8, origin {{ ledger_state_type() }}
))
{%- endset %}
{%- set new_fills -%}
(
    select *
    from {{ ref("trade_execution_fact") }}
    where revision > done.1 and revision <= fills_until and account != ''
)
{%- endset %}
{%- set new_adjustments -%}
(
    select *
    from {{ ref("ledger_adjustment") }}
    where revision > done.2 and revision <= adjustments_until and account != ''
)
{%- endset %}
{%- set rows_without_heads -%}
(
    select *
    from {{ ref("position_ledger") }}
    where heads_until < done.3 and revision > heads_until + 1 and account != ''
)
{%- endset %}
{%- set fill_columns -%}
order_id, 'fill' as event, if(side = 'sell', - quantity, quantity) as signed_quantity, toDecimal64(1, 9) as ratio,
price, notional, fee, is_deleted, revision
{%- endset %}
{%- set adjustment_columns -%}
toUUIDOrZero('') as order_id, event, signed_quantity, ratio, price, notional, null as fee, is_deleted, revision
{%- endset %}
{%- set late_keys = changed_keys("late_changes") %}
with
    -- How far the ledger is: the newest fill and the newest adjustment in it, and its
    -- own revision.
    (
        select
            (
                maxIf(ordinal, fill_id = 'fills'),
                maxIf(ordinal, fill_id = 'adjustments'),
                max(revision)
            )
        from {{ ref("position_ledger") }}
        where account = ''
    ) as done,
    -- The heads are written beside the ledger, not with it: a warehouse that was killed
    -- in between lacks those of the last refresh, whose rows are then taken as changed.
    (
        select max(revision) from {{ ref("ledger_head") }} where account = ''
    ) as heads_until,
    -- The cursor of the fills is written behind them: up to its revision all of them
    -- are there. Of many, some are taken at a time.
    (
        select (max(cursor), arraySort(groupArrayIf((fact_revision, fills), fills > 0)))
        from
            (
                select max(revision) + 1 as cursor, 0 as fact_revision, 0 as fills
                from {{ ref("trade_execution_fact") }}
                where account = ''
                union all
                select
                    0 as cursor, bitOr(revision, 1) as fact_revision, count() as fills
                from {{ ref("trade_execution_fact") }}
                where revision > done .1 and account != ''
                group by fact_revision
            )
    ) as known,
    arrayFirst(
        (fact_revision, fills) -> fills >= {{ var("rows_per_refresh") }},
        known .2 .1,
        arrayCumSum(known .2 .2)
    ) as batch_end,
    if(batch_end > 0, least(batch_end, known .1), known .1) as fills_until,
    {%- if is_adjusted %}
        (select max(revision) from {{ ref("ledger_adjustment") }} where account = '')
    {%- else %} toUInt64(0)
    {%- endif %} as adjustments_until,
    -- The keys that changed, each with its first change and the state behind its last
    -- row. One constant: each place that names a subquery plans and runs it again.
    (
        select
            cast(
                groupArray(
                    (
                        toString(changed.account),
                        toString(changed.strategy_id),
                        toString(changed.symbol),
                        first_change,
                        is_rewritten
                        or (head.executed_at, head.sequence, head.fill_id)
                        >= first_change,
                        {{ ledger_state_of("head") }}
                    )
                ) as {{ change_type }}
            )
        from
            (
                select
                    {{ key }},
                    min(moment) as first_change,
                    max(is_rewritten) as is_rewritten
                from
                    (
                        select {{ key }}, ({{ moment }}) as moment, 0 as is_rewritten
                        from {{ new_fills }}
                        union all
                        select {{ key }}, ({{ moment }}) as moment, 1 as is_rewritten
                        from {{ rows_without_heads }}
                        {%- if is_adjusted %}
                            union all
                            select
                                {{ key }}, ({{ moment }}) as moment, 1 as is_rewritten
                            from {{ new_adjustments }}
                        {%- endif %}
                    )
                group by {{ key }}
            ) as changed
        left join {{ ref("ledger_head") }} as head final using ({{ key }})
    ) as key_changes,
    arrayFilter(entry -> entry.is_late, key_changes) as late_changes,
    events as (
        -- Behind the last row of a key its new fills are all that is needed. What is
        -- there twice counts once.
        select {{ key }}, {{ moment }}, {{ fill_columns }}
        from {{ new_fills }}
        union all
        -- What stands no longer is removed once more.
        select
            {{ key }},
            {{ moment }},
            order_id,
            event,
            signed_quantity,
            toDecimal64(1, 9) as ratio,
            price,
            notional,
            fee,
            toUInt8(1) as is_deleted,
            toUInt64(0) as revision
        from {{ rows_without_heads }}
        union all
        select {{ key }}, {{ moment }}, {{ fill_columns }}
        from {{ ref("trade_execution_fact") }} as fact final
        inner join {{ changed_rows("late_changes") }} as change using ({{ key }})
        where
            ({{ key }}) in {{ late_keys }}
            and executed_at >= arrayMin(late_changes.first_change .1)
            and ({{ moment }}) >= change.first_change
        {%- if is_adjusted %}
            union all
            select {{ key }}, {{ moment }}, {{ adjustment_columns }}
            from {{ new_adjustments }}
            union all
            select {{ key }}, {{ moment }}, {{ adjustment_columns }}
            from {{ ref("ledger_adjustment") }} as adjustment final
            inner join {{ changed_rows("late_changes") }} as change using ({{ key }})
            where ({{ moment }}) >= change.first_change
        {%- endif %}
    ),
    -- A key that changed before its last row goes on from the row before the change.
    origins as (
        select {{ key }}, origin
        from {{ changed_rows("arrayFilter(entry -> not entry.is_late, key_changes)") }}
        union all
        select
            {{ key }},
            argMaxIf(
                {{ ledger_state_of("standing") }},
                (standing.executed_at, standing.sequence, standing.fill_id),
                (standing.executed_at, standing.sequence, standing.fill_id)
                < late.first_change
            ) as origin
        from {{ changed_rows("late_changes") }} as late
        left join
            (
                select *
                from {{ ref("position_ledger") }} final
                where ({{ key }}) in {{ late_keys }}
            ) as standing using ({{ key }})
        group by {{ key }}
    ),
    {{ ledger_steps() }}
select * except (is_last), 2 * (intDiv(done .3, 2) + 1) + is_last as revision
from ledger_rows
union all
-- The cursors: rows that no reader sees, as they are marked deleted, and their account
-- is nobody's.
select
    '' as account,
    '' as strategy_id,
    '' as symbol,
    toDateTime64(0, 6, 'UTC') as executed_at,
    0 as sequence,
    cursor .1 as fill_id,
    toUUIDOrZero('') as order_id,
    '' as event,
    cursor .2 as ordinal,
    {%- for column in ["signed_quantity", "price", "notional"] %}
        0 as {{ column }},
    {%- endfor %}
    null as fee,
    {%- for column in ["position_before", "position_after", "closed_quantity", "open_cost", "open_fee", "open_time", "average_cost", "gross_realized_pnl", "closing_fee"] %}
        0 as {{ column }},
    {%- endfor %}
    null as holding_seconds,
    {%- for column in ["cumulative_realized_pnl", "cumulative_fee", "cumulative_notional", "cumulative_feeless_notional"] %}
        0 as {{ column }},
    {%- endfor %}
    1 as is_deleted,
    2 * (intDiv(done .3, 2) + 1) as revision
from
    (
        select
            arrayJoin(
                [('fills', fills_until), ('adjustments', adjustments_until)]
            ) as cursor
    )
where (fills_until, adjustments_until) != (done .1, done .2) or heads_until < done .3
