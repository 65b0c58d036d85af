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
{#- notEmpty, since the sorting key would be searched for what != '' leaves out. Searching it, and an entry of the index on
    revision per 1,024 rows instead of 65,536, made 1,000 new fills take 0.35 s behind 20 million, 0.21 s behind 5. -#}
{%- set new_fills -%}
(
    select *
    from {{ ref("trade_execution_fact") }}
    where revision > done.1 and revision <= fills_until and notEmpty(account)
)
{%- endset %}
{%- set new_adjustments -%}
(
    select *
    from {{ ref("ledger_adjustment") }}
    where revision > done.2 and revision <= adjustments_until and notEmpty(account)
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
    -- How far the ledger is: the newest fill and the newest adjustment in it, its own
    -- revision; and how far its heads are.
    (
        select
            (
                maxIf(ordinal, is_ledger and fill_id = 'fills'),
                maxIf(ordinal, is_ledger and fill_id = 'adjustments'),
                maxIf(revision, is_ledger),
                maxIf(revision, not is_ledger)
            )
        from
            (
                select fill_id, ordinal, revision, true as is_ledger
                from {{ ref("position_ledger") }}
                where toStartOfHour(executed_at) = toDateTime(0, 'UTC') and account = ''
                union all
                select fill_id, ordinal, revision, false as is_ledger
                from {{ ref("ledger_head") }}
                where account = ''
            )
    ) as done,
    -- The heads are written beside the ledger, not with it: while those of the last
    -- refresh are missing, which a kill can leave behind, nothing is taken in.
    done .4 >= done .3 as is_ready,
    -- Fills behind the last ones that are here; of many, some are taken at a time.
    {{ revisions_behind(ref("trade_execution_fact"), "done .1", "is_ready") }} as known,
    {{ revision_until("known", "done .1") }} as fills_until,
    {%- if is_adjusted %}
        (
            select greatest(done .2, max(revision))
            from {{ ref("ledger_adjustment") }}
            where is_ready and account = ''
        )
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
                        -- The head of a refresh whose rows a kill lost: its key is
                        -- folded from its first event on.
                        if(
                            head.revision > done .3 + 1,
                            defaultValueOfArgumentType(first_change),
                            first_change
                        ) as from_change,
                        is_rewritten
                        or (head.executed_at, head.sequence, head.fill_id)
                        >= from_change,
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
        from {{ changed_rows("key_changes") }} as changed
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
    {{ ledger_steps() }}
-- In a subquery: each select of an outermost union gets all of `with` once more.
select *
from
    (
        select
            * except (is_last),
            2 * (intDiv(done .3, 2) + 1) + is_last as revision,
            0 as superseded_by
        from ledger_rows
        union all
        -- What stood until now, for those who ask what was known before.
        select
            ledger.* replace (
                1 as is_deleted, 2 * (intDiv(done .3, 2) + 1) as superseded_by
            )
        from {{ ref("position_ledger") }} as ledger final
        inner join {{ changed_rows("late_changes") }} as change using ({{ key }})
        where
            toStartOfHour(executed_at)
            >= toStartOfHour(arrayMin(late_changes.first_change .1))
            and ({{ key }}) in {{ late_keys }}
            and ({{ moment }}) >= change.first_change
        union all
        -- The cursors: rows that no reader sees, as they are marked deleted, and
        -- their account
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
            {%- for column in ["position_before", "position_after", "closed_quantity", "open_cost", "open_fee", "open_time", "average_cost", "gross_realized_pnl", "closing_fee", "open_time_before"] %}
                0 as {{ column }},
            {%- endfor %}
            null as holding_seconds,
            1 as is_deleted,
            2 * (intDiv(done .3, 2) + 1) as revision,
            0 as superseded_by
        from
            (
                select
                    arrayJoin(
                        [('fills', fills_until), ('adjustments', adjustments_until)]
                    ) as cursor
            )
        where (fills_until, adjustments_until) != (done .1, done .2)

    )
