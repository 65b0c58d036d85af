{#- Oldest quote that still tells the mid of a moment, in seconds. -#}
{%- set maximum_age = 5 -%}
{%- set moments = outcome_moments() -%}
{%- set content = outcome_columns() | reject("equalto", "applied") | list + moments.keys() | list
    + outcome_decision_columns() + ["last_at"] -%}
{%- set columns = content + ["applied"] -%}
{%- set in_orders = "broker_order_id in (select arrayJoin(touched .1))" -%}
{%- set in_decisions = "decision_id in (select arrayJoin(touched .2))" -%}
-- depends_on: {{ ref("trade_execution_fact") }}
-- depends_on: {{ ref("decision_fact") }}
-- depends_on: {{ ref("execution_version_fact") }}
with
    -- Constants, from views of their own: every mention of a subquery is analysed anew.
    (select progress from {{ ref("outcome_progress") }}) as progress,
    (select touched from {{ ref("outcome_touched") }}) as touched,
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
                        where {{ in_orders }}
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
        {{ "progress.2" if column == "applied" else "nothing." ~ column }}
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
where progress .2 > progress .1
