{{ config(contract={"enforced": false}) }}
{%- set sums = order_sums() -%}
with
    orders as (
        select
            * except (fill_times, fill_quantities, fill_notionals),
            {{ order_terms() }},
            kind = 'order' and status in {{ terminal_statuses() }} as is_terminal,
            -- Only the last order of a decision speaks for it.
            is_terminal
            and decision_id is not null
            and superseded_at is null as is_concluding,
            length(fill_times) as part_fills,
            arraySum(fill_notionals) as part_notional,
            arraySum(fill_quantities) * ifNull(arrival_mid, 0) as part_arrival_value,
            dateDiff('microsecond', decided_at, submitted_at) / 1000 as submit_ms,
            if(
                notEmpty(fill_times),
                dateDiff('microsecond', submitted_at, fill_times[1]) / 1000,
                null
            ) as fill_ms
        from {{ ref("order_outcome") }} final
        where
            account != ''
            and toStartOfHour(last_at) >= toStartOfHour({since:DateTime64(3)})
            and toStartOfHour(last_at) <= toStartOfHour({until:DateTime64(3)})
            and last_at > {since:DateTime64(3)}
            and last_at <= {until:DateTime64(3)}
    ),
    sums as (
        select
            order_id,
            strategy_id,
            account,
            symbol,
            side,
            last_at,
            expected_route,
            actual_route,
            if(kind = 'order' and submit_ms >= 0, submit_ms, null) as submit_ms,
            if(fill_ms >= 0, fill_ms, null) as fill_ms,
            {%- for column, expression in sums.concluded.items() %}
                if(is_concluding, {{ expression }}, 0) as {{ column }},
            {%- endfor %}
            {%- for moment in ["ended", "executed"] %}
                {%- for column, expression in sums[moment].items() %}
                    {{ expression }} as {{ column }}{{ "," if not loop.last }}
                {%- endfor %} {{ "," if not loop.last }}
            {%- endfor %}
        from orders
        group by all
    )
select
    *,
    {{ execution_ratios().shortfall_cost }} as shortfall_cost,
    if(arrival_value > 0, {{ execution_ratios().slippage }}, null) as slippage_bps,
    if(paper_value > 0, {{ execution_ratios().shortfall }}, null) as shortfall_bps
from sums
