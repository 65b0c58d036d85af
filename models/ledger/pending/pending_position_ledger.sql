{%- set is_adjusted = has_adjustments() -%}
-- depends_on: {{ ref("opening_positions") }}
-- depends_on: {{ ref("corporate_actions") }}
-- depends_on: {{ ref("ledger_adjustment") }}
{%- set key = "account, strategy_id, symbol" -%}
{%- set moment = "executed_at, sequence, fill_id" -%}
{%- set fill_columns -%}
order_id, 'fill' as event, if(side = 'sell', - quantity, quantity) as signed_quantity, toDecimal64(1, 9) as ratio,
price, notional, fee, is_deleted, revision
{%- endset %}
{%- set adjustment_columns -%}
toUUIDOrZero('') as order_id, event, signed_quantity, ratio, price, notional, null as fee, is_deleted, revision
{%- endset %}
{%- set late_keys = late_keys("late_changes") %}
with
    -- Constants, each from a view of its own: every mention of a subquery is analysed
    -- anew, and of these there is little to analyse. With all of it here, planning
    -- took 0.22 s, with them 0.16.
    (select progress from {{ ref("ledger_progress") }}) as progress,
    (select changes from {{ ref("ledger_changes") }}) as key_changes,
    (select late from {{ ref("late_changes") }}) as late_changes,
    events as (
        -- Behind the last row of a key its new fills are all that is needed. What is
        -- there twice counts once.
        select {{ key }}, {{ moment }}, {{ fill_columns }}
        from {{ new_fills("progress") }}
        union all
        select {{ key }}, {{ moment }}, {{ fill_columns }}
        from {{ ref("trade_execution_fact") }} as fact final
        inner join {{ late_rows("late_changes") }} as change using ({{ key }})
        where
            ({{ key }}) in {{ late_keys }}
            and executed_at >= arrayMin(late_changes.first_change .1)
            and ({{ moment }}) >= change.first_change
        {%- if is_adjusted %}
            union all
            select {{ key }}, {{ moment }}, {{ adjustment_columns }}
            from {{ new_adjustments("progress") }}
            union all
            select {{ key }}, {{ moment }}, {{ adjustment_columns }}
            from {{ ref("ledger_adjustment") }} as adjustment final
            inner join {{ late_rows("late_changes") }} as change using ({{ key }})
            where ({{ moment }}) >= change.first_change
        {%- endif %}
    ),
    -- A key goes on from its head; one that changed before its head, from the state
    -- before the first row behind the change.
    origins as (
        select
            {{ key }},
            if(
                countIf(standing.moment >= changed.first_change) = 0,
                any(changed.origin),
                argMinIf(
                    standing.state_before,
                    standing.moment,
                    standing.moment >= changed.first_change
                )
            ) as origin
        from
            (
                select
                    entry.account as account,
                    entry.strategy_id as strategy_id,
                    entry.symbol as symbol,
                    entry.first_change as first_change,
                    entry.origin as origin
                from (select arrayJoin(key_changes) as entry)
            ) as changed
        left join
            (
                select
                    {{ key }},
                    ({{ moment }}) as moment,
                    {{ ledger_state_before("ledger") }} as state_before
                from {{ ref("position_ledger") }} as ledger final
                where
                    toStartOfHour(executed_at)
                    >= toStartOfHour(arrayMin(late_changes.first_change .1))
                    and ({{ key }}) in {{ late_keys }}
            ) as standing using ({{ key }})
        group by {{ key }}
    ),
    {{ ledger_steps(is_adjusted) }}
-- In a subquery: each select of an outermost union gets all of `with` once more.
select *
from
    (
        select
            * except (is_last),
            progress.revision + is_last as revision,
            0 as superseded_by
        from ledger_rows
        union all
        -- What stood until now, for those who ask what was known before.
        select ledger.* replace (1 as is_deleted, progress.revision as superseded_by)
        from {{ ref("position_ledger") }} as ledger final
        inner join {{ late_rows("late_changes") }} as change using ({{ key }})
        where
            toStartOfHour(executed_at)
            >= toStartOfHour(arrayMin(late_changes.first_change .1))
            and ({{ key }}) in {{ late_keys }}
            and ({{ moment }}) >= change.first_change
        union all
        -- The cursors: rows that no reader sees, as they are marked deleted, and
        -- their account is nobody's.
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
            {%- for column in ["position_before", "position_after", "closed_quantity", "open_cost", "open_fee", "open_time", "average_cost", "gross_realized_pnl", "closing_fee", "open_time_before"] %}
                0 as {{ column }},
            {%- endfor %}
            null as holding_seconds,
            1 as is_deleted,
            progress.revision as revision,
            0 as superseded_by
        from
            (
                select
                    arrayJoin(
                        [
                            ('fills', progress.fills_until),
                            ('adjustments', progress.adjustments_until)
                        ]
                    ) as cursor
            )
        where
            (progress.fills_until, progress.adjustments_until)
            != (progress.fills_from, progress.adjustments_from)
    )
