{#- Oldest quote that still tells the mid of a moment, in seconds. -#}
{%- set maximum_age = 5 -%}
{%- set moments = outcome_moments() -%}
{%- set content = outcome_columns() | reject("equalto", "applied") | list + moments.keys() | list
    + outcome_decision_columns() + ["last_at"] -%}
{%- set columns = content + ["applied"] -%}
{%- set in_orders = "broker_order_id in (select arrayJoin(orders_read))" -%}
{%- set in_decisions = "decision_id in (select arrayJoin(touched .2))" -%}
-- depends_on: {{ ref("trade_execution_fact") }}
-- depends_on: {{ ref("decision_fact") }}
-- depends_on: {{ ref("execution_version_fact") }}
with
    (
        select max(applied)
        from {{ ref("order_outcome") }}
        where toStartOfHour(last_at) = toDateTime(0, 'UTC') and account = ''
    ) as batches_done,
    {{ fill_cursor() }} as newest_batch,
    -- Batches whose fills are there; of many orders, some at a time.
    (
        select (newest_batch, arraySort(groupArray((batch, lines))))
        from
            (
                select batch, count() as lines
                from {{ to_do(ref("changed_order")) }}
                group by batch
            )
    ) as known,
    {{ revision_until("known", "batches_done") }} as batches_until,
    (
        select
            (
                maxIf(decision_end, batch <= batches_done),
                maxIf(decision_end, batch <= batches_until)
            )
        from {{ ref("changed_order") }}
        where is_end = 1
    ) as decisions_read,
    -- Orders and decisions that changed, and those whose quotes may have come since.
    -- One constant: each place that names a subquery plans and runs it again.
    (
        select
            (
                groupUniqArray(broker_order_id),
                groupUniqArrayIf(assumeNotNull(decision_id), decision_id is not null)
            )
        from
            (
                select broker_order_id, decision_id
                from {{ ref("changed_order") }}
                where is_end = 0 and batch > batches_done and batch <= batches_until
                union all
                -- A decision without an order has its own id for one.
                select toString(decision_id) as broker_order_id, decision_id
                from {{ ref("decision_fact") }}
                where applied > decisions_read .1 and applied <= decisions_read .2
                union all
                select broker_order_id, decision_id
                from {{ ref("order_outcome") }}
                where {{ awaits_quotes() }}
            )
    ) as touched,
    -- With the other orders of these decisions.
    (
        select
            arrayDistinct(
                arrayConcat(
                    touched .1,
                    arrayMap(decision -> toString(decision), touched .2),
                    groupUniqArray(broker_order_id)
                )
            )
        from {{ ref("execution_version_fact") }}
        where {{ in_decisions }}
    ) as orders_read,
    -- Where quotes of these orders lie.
    (
        select
            (
                groupUniqArray(symbol),
                arrayDistinct(arrayFlatten(groupUniqArray(minutes)))
            )
        from
            (
                select
                    symbol,
                    [
                        {%- for moment in moments.values() %}
                            toStartOfMinute(ifNull({{ moment }}, submitted_at)),
                            toStartOfMinute(
                                ifNull({{ moment }}, submitted_at)
                                - interval {{ maximum_age }} second
                            )
                            {{- "," if not loop.last }}
                        {%- endfor %}
                    ] as minutes
                from ({{ outcome_rows(in_orders, in_decisions) }})
            )
    ) as quoted,
    quotes as (
        select
            toString(symbol) as symbol,
            toDateTime64(quoted_at, 6, 'UTC') as quoted_at,
            argMax(mid, sequence) as mid
        from {{ ref("stg_torghut__ta_quotes") }} as quote
        where
            quote.symbol in (select arrayJoin(quoted .1))
            and toStartOfMinute(quote.quoted_at) in (select arrayJoin(quoted .2))
        group by symbol, quoted_at
    ),
    outcomes as (
        select
            *,
            arrayJoin(
                [
                    {%- for moment in moments.values() %}
                        (
                            {{ loop.index }},
                            ifNull({{ moment }}, toDateTime64(0, 6, 'UTC'))
                        )
                        {{- "," if not loop.last }}
                    {%- endfor %}
                ]
            ) as needed,
            toString(symbol) as quote_symbol,
            needed .2 as quote_at
        from ({{ outcome_rows(in_orders, in_decisions) }})
    ),
    priced as (
        select
            outcomes.order_id as order_id,
            {%- for column in outcome_columns()[1:] %}
                any(outcomes.{{ column }}) as {{ column }},
            {%- endfor %}
            {%- for mid in moments %}
                {{
                    money(
                        "anyIf(quotes.mid, needed.1 = " ~ loop.index ~ " and quotes.mid > 0 and quotes.quoted_at >= "
                        ~ "quote_at - interval " ~ maximum_age ~ " second)"
                    )
                }}
                as {{ mid }}{{ "," if not loop.last }}
            {%- endfor %}
        from outcomes
        asof left join
            quotes
            on outcomes.quote_symbol = quotes.symbol
            and outcomes.quote_at >= quotes.quoted_at
        group by order_id
    ),
    -- The orders of a decision in the order in which they ended. What one asks for
    -- adds to what those before it got.
    asked as (
        select
            *,
            coalesce(decision_id, order_id) as decision,
            ifNull(ended_at, toDateTime64('2299-01-01', 6, 'UTC')) as ends_at,
            arraySum(fill_quantities) as own_quantity,
            arraySum(fill_notionals) as own_notional,
            sum(own_quantity) over former
            + ifNull(submitted_quantity, 0) as asked_quantity
        from priced
        window
            former as (
                partition by decision
                order by ends_at, order_id
                rows between unbounded preceding and 1 preceding
            )
    ),
    outcome as (
        select
            * except (applied),
            max(applied) over whole as applied,
            max(asked_quantity) over so_far as decision_quantity,
            sum(own_quantity) over so_far as decision_filled_quantity,
            sum(own_notional) over so_far as decision_filled_notional,
            sum(ifNull(fee, 0)) over so_far as decision_fee,
            min(fee is not null) over so_far as is_decision_fee_known,
            min(ifNull(filled_quantity, 0) = 0 or notEmpty(fill_times)) over so_far
            as is_decision_priced,
            argMin(tuple(arrival_mid), (submitted_at, order_id)) over so_far
            .1 as decision_arrival_mid,
            min(toNullable(submitted_at)) over later as superseded_at,
            arrayMax(
                arrayConcat([submitted_at, ifNull(ended_at, submitted_at)], fill_times)
            ) as last_at
        from asked
        window
            whole as (partition by decision),
            so_far as (
                partition by decision
                order by ends_at, order_id
                rows between unbounded preceding and current row
            ),
            later as (
                partition by decision
                order by ends_at, order_id
                rows between 1 following and unbounded following
            )
    ),
    -- The clock in milliseconds, forced to grow. In a subquery, which a query evaluates
    -- once.
    (
        select
            greatest(
                toUInt64(toUnixTimestamp64Milli(now64(3))), 1 + intDiv(max(revision), 2)
            )
        from {{ ref("order_outcome") }}
        where toStartOfHour(last_at) = toDateTime(0, 'UTC') and account = ''
    ) as version,
    -- Rows that are in both are unchanged and not written again.
    differences as (
        select
            {{ columns | join(", ") }},
            stored_revision,
            -- The row that takes the place of what is stored does not count from its
            -- moments on (see is_outcome_known), so what is stored counts until then.
            stored_revision > 0
            and toInt64(version) > ifNull(
                toUnixTimestamp64Milli(
                    toDateTime64(
                        maxIf(toNullable(last_at), stored_revision = 0) over (
                            partition by order_id
                        ),
                        3
                    )
                )
                + {{ outcome_grace_ms() }},
                0
            ) as is_kept
        from
            (
                select
                    *,
                    count() over (
                        partition by {{ content | join(", ") }}
                    ) as occurrences
                from
                    (
                        select
                            {{ columns | join(", ") }}, toUInt64(0) as stored_revision
                        from outcome
                        union all
                        select {{ columns | join(", ") }}, revision as stored_revision
                        from {{ ref("order_outcome") }} final
                        where broker_order_id in (select arrayJoin(orders_read))
                    )
            )
        where occurrences = 1
    )
select
    {{ columns | join(", ") }},
    -- One bit of a revision lets a standing row win over the removal of its former
    -- version under the same key.
    arrayJoin(
        arrayConcat(
            [
                (
                    toUInt8(stored_revision > 0),
                    2 * version + (stored_revision = 0),
                    toUInt64(0)
                )
            ],
            -- What stood until now, for those who ask what was known before.
            if(is_kept, [(toUInt8(1), stored_revision, 2 * version)], [])
        )
    ) as written,
    written .1 as is_deleted,
    written .2 as revision,
    written .3 as superseded_by
from differences
union all
-- The cursor: a row of empty columns that no reader sees.
select
    {%- for column in columns %}
        {{ "batches_until" if column == "applied" else "nothing." ~ column }}
        as {{ column }},
    {%- endfor %}
    (toUInt8(1), 2 * version, toUInt64(0)) as written,
    written .1 as is_deleted,
    written .2 as revision,
    written .3 as superseded_by
from system.one
left join
    (select * from {{ ref("order_outcome") }} where false) as nothing
    on dummy = nothing.is_deleted
where batches_until > batches_done
