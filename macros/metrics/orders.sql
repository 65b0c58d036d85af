{# Rows (strategy_id, account, window_edge): what the orders of a scope came to inside every window.

   Each figure has a moment of its own: an order counts when it ended, a latency when it was submitted or first filled,
   slippage when a fill happened, a decision when the last of its orders ended. Orders whose moments lie in the same
   windows are summed up first; only these sums are spread over windows and scopes. #}
{% macro scope_orders() %}
    {%- set sums = order_sums() -%} {%- set latencies = order_latencies() -%}
    select
        scope .1 as strategy_id,
        scope .2 as account,
        window_edge,
        {%- for moment, columns in sums.items() %}
            {%- set is_inside = "bitTest(parts." ~ moment ~ "_in, window_edge - 1)" %}
            {%- for column in columns %}
                sumIf(parts.{{ column }}, {{ is_inside }}) as {{ column }},
            {%- endfor %}
            maxIf(parts.last_{{ moment }}_at, {{ is_inside }}) as last_{{ moment }}_at,
        {%- endfor %}
        {%- for name, latency in latencies.items() %}
            {%- set is_inside = "bitTest(parts." ~ latency.moment ~ "_in, window_edge - 1)" %}
            sumIf(parts.{{ name }}_count, {{ is_inside }}) as {{ name }}_count,
            sumIf(
                parts.{{ name }}_negative_count, {{ is_inside }}
            ) as {{ name }}_negative_count,
            arrayMap(
                -- Of nothing it is NaN.
                microseconds -> if(isNaN(microseconds), 0, microseconds / 1000),
                quantilesExactInclusiveMergeIf(0.5, 0.95)
                (parts.{{ name }}_state, {{ is_inside }})
            ) as {{ name }}_ms{{ "," if not loop.last }}
        {%- endfor %}
    from
        (
            select
                windowed.*,
                arrayJoin(range(toUInt8(1), toUInt8(8))) as window_edge,
                arrayJoin(
                    {{ scopes("toString(windowed.strategy_id)", "toString(windowed.account)") }}
                ) as scope
            from
                (
                    select
                        account,
                        strategy_id,
                        {%- for moment, columns in sums.items() %}
                            {{ moment }}_in,
                            {%- for column, expression in columns.items() %}
                                {{ expression }} as {{ column }},
                            {%- endfor %}
                            max(
                                ifNull({{ moment }}_at, toDateTime64(0, 6, 'UTC'))
                            ) as last_{{ moment }}_at,
                        {%- endfor %}
                        {%- for name, latency in latencies.items() %}
                            countIf(
                                {{ latency.microseconds }} >= 0
                            ) as {{ name }}_count,
                            countIf(
                                {{ latency.microseconds }} < 0
                            ) as {{ name }}_negative_count,
                            quantilesExactInclusiveStateIf(0.5, 0.95)
                            (
                                ifNull({{ latency.microseconds }}, 0),
                                ifNull({{ latency.microseconds }} >= 0, false)
                            ) as {{ name }}_state{{ "," if not loop.last }}
                        {%- endfor %}
                    from ({{ windowed_orders() }})
                    group by
                        account,
                        strategy_id,
                        {%- for moment in sums %}
                            {{ moment }}_in{{ "," if not loop.last }}
                        {%- endfor %}
                ) as windowed
        ) as parts
    group by strategy_id, account, window_edge
{% endmacro %}

{# What is added up, by the moment at which it counts. Products keep all of their 21 decimals. #}
{% macro order_sums() -%}
    {{ return({
        'ended': {
            'ended_orders': "countIf(is_terminal)",
            'filled_orders': "countIf(is_terminal and status = 'filled')",
            'canceled_orders': "countIf(is_terminal and status = 'canceled')",
            'expired_orders': "countIf(is_terminal and status = 'expired')",
            'rejected_orders': "countIf(is_terminal and status = 'rejected')",
            'replaced_orders': "countIf(status = 'replaced')",
            'rejected_submits': "countIf(kind = 'submit')",
            'vetoes': "countIf(kind = 'veto')",
            'ordered_quantity': "sumIf(ordered, is_terminal)",
            'obtained_quantity': "sumIf(obtained, is_terminal)",
            'weighted_orders': "countIf(is_terminal and weight > 0)",
            'ordered_value': "sumIf(ordered * weight, is_terminal)",
            'obtained_value': "sumIf(obtained * weight, is_terminal)",
        },
        'concluded': {
            'concluded_decisions': "count()",
            'measured_decisions': "countIf(is_measured)",
            'unsplit_decisions': "countIf(is_measured and decision_arrival_mid is null)",
            'feeless_decisions': "countIf(is_measured and not is_decision_fee_known)",
            'paper_value': "sumIf(decision_quantity * paper_price, is_measured)",
            'delay_cost': "sumIf(direction * decision_quantity * (start_price - paper_price), is_measured)",
            'trading_cost': "sumIf(direction * (decision_filled_notional "
            ~ "- decision_filled_quantity * start_price), is_measured)",
            'opportunity_cost': "sumIf(direction * (decision_quantity - decision_filled_quantity) "
            ~ "* (end_price - start_price), is_measured)",
            'shortfall_fees': "sumIf(decision_fee, is_measured)",
        },
        'submitted': {
            'submitted_orders': "count()",
            'unrouted_orders': "countIf(expected_route = '' or actual_route = '')",
            'unknown_routes': "countIf(expected_route != '' and actual_route != '' "
            ~ "and 'unknown' in (expected_route, actual_route))",
            'fallback_routes': "countIf(expected_route != '' and actual_route != '' "
            ~ "and (expected_route != actual_route or fallback_count > 0))",
        },
        'opened': {},
        'executed': {
            'executed_fills': "sum(part_fills)",
            'covered_fills': "sumIf(part_fills, arrival_mid is not null)",
            'executed_notional': "sum(part_notional)",
            'covered_notional': "sumIf(part_notional, arrival_mid is not null)",
            'arrival_value': "sum(part_arrival_value)",
            'slippage_cost': "sumIf(direction * (part_notional - part_arrival_value), arrival_mid is not null)",
        },
    }) }}
{%- endmacro %}

{# Latencies in microseconds, NULL where there is none, and the moment at which each counts. #}
{% macro order_latencies() -%}
    {{ return({
        'submit_latency': {
            'moment': 'submitted',
            'microseconds': "dateDiff('microsecond', decided_at, submitted_at)",
        },
        'fill_latency': {
            'moment': 'opened',
            'microseconds': "dateDiff('microsecond', submitted_at, opened_at)",
        },
        'last_fill_latency': {
            'moment': 'ended',
            'microseconds': "if(is_terminal and notEmpty(fill_times), "
            ~ "dateDiff('microsecond', submitted_at, fill_times[-1]), null)",
        },
    }) }}
{%- endmacro %}

{# Rows of order_outcome with the windows in which each of their moments lies, as bits.

   An order is one row with all its fills, as long as these lie in the same windows; else each of the fills is a row of
   its own beside it. #}
{% macro windowed_orders() %}
    with
        (select min(edge_at) from ({{ edge_rows() }})) as oldest_edge,
        {{ settled_at() }} as settled_at,
        {{ written_until() }} as written_until,
        orders as (
            select
                orders.*,
                edge.moments as moments,
                kind = 'order' and status in {{ terminal_statuses() }} as is_terminal,
                if(empty(fill_times), null, fill_times[1]) as first_fill_at,
                if(empty(fill_times), null, fill_times[-1]) as last_fill_at,
                {{ windows_with("first_fill_at") }} as first_fill_in,
                {{ windows_with("last_fill_at") }} as last_fill_in
            from
                {{
                    known_outcomes(
                        "toStartOfHour(last_at) >= toStartOfHour(oldest_edge) and submitted_at <= "
                        ~ as_of()
                    )
                }}
                as orders
            inner join
                ({{ account_moments() }}) as edge on orders.account = edge.account
        )
    select
        account,
        strategy_id,
        kind,
        status,
        is_terminal,
        expected_adapter,
        actual_adapter,
        fallback_count,
        decided_at,
        submitted_at,
        fill_times,
        arrival_mid,
        decision_arrival_mid,
        decision_quantity,
        decision_filled_quantity,
        decision_filled_notional,
        decision_fee,
        is_decision_fee_known,
        {{ order_terms() }},
        arrayJoin(
            if(
                first_fill_in = last_fill_in,
                [
                    (
                        true,
                        last_fill_in,
                        last_fill_at,
                        length(fill_times),
                        arraySum(fill_quantities),
                        arraySum(fill_notionals)
                    )
                ],
                arrayConcat(
                    [(true, 0, null, 0, 0, 0)],
                    arrayMap(
                        (moment, quantity, notional) -> (
                            false,
                            {{ windows_with("moment") }},
                            moment,
                            1,
                            quantity,
                            notional
                        ),
                        fill_times,
                        fill_quantities,
                        fill_notionals
                    )
                )
            )
        ) as part,
        part .1 as is_whole,
        part .4 as part_fills,
        part .6 as part_notional,
        part .5 * ifNull(arrival_mid, 0) as part_arrival_value,
        ended_at,
        ended_at as concluded_at,
        first_fill_at as opened_at,
        part .3 as executed_at,
        if(is_whole, {{ windows_with("ended_at") }}, 0) as ended_in,
        -- While a later order of the decision was not there yet.
        if(
            is_terminal
            and decision_id is not null
            and (superseded_at is null or superseded_at > settled_at),
            ended_in,
            0
        ) as concluded_in,
        if(
            is_whole and kind = 'order', {{ windows_with("submitted_at") }}, 0
        ) as submitted_in,
        if(is_whole, first_fill_in, 0) as opened_in,
        part .2 as executed_in
    from orders
{% endmacro %}

{# What costs are computed from: the side as a sign, quantities, and the prices at which a decision would have been
   filled on paper, began and ended. #}
{% macro order_terms() -%}
    if(side = 'sell', -1, 1) as direction,
    ifNull(submitted_quantity, 0) as ordered,
    ifNull(filled_quantity, 0) as obtained,
    ifNull(coalesce(arrival_mid, limit_price, average_fill_price), 0) as weight,
    ifNull(decision_mid, 0) as paper_price,
    ifNull(coalesce(decision_arrival_mid, decision_mid), 0) as start_price,
    ifNull(end_mid, start_price) as end_price,
    decision_mid is not null
    and is_decision_priced
    and (
        decision_filled_quantity = decision_quantity or end_mid is not null
    ) as is_measured,
    lower(trimBoth(expected_adapter)) as expected_route,
    lower(trimBoth(actual_adapter)) as actual_route
{%- endmacro %}

{# The windows in which a moment lies, as bits: that of edge 1 is the lowest. #}
{% macro windows_with(moment) -%}
    toUInt8(
        if(
            {{ moment }} <= settled_at,
            {%- for edge in range(1, 8) %}
                {{ 2 ** (edge - 1) }} * ({{ moment }} > moments[{{ edge + 1 }}])
                {{- " + " if not loop.last }}
            {%- endfor %},
            0
        )
    )
{%- endmacro %}
