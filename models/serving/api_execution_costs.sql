{{ config(contract={"enforced": false}) }}
{%- set sums = order_sums() -%}
with
    orders as (
        select
            *,
            arrayJoin(
                [
                    ('total', ''),
                    ('symbol', toString(symbol)),
                    ('side', toString(side)),
                    (
                        'time',
                        toString(
                            toUnixTimestamp(
                                toStartOfInterval(
                                    toDateTime(last_at, 'UTC'),
                                    toIntervalSecond({bucket:UInt32})
                                )
                            )
                        )
                    ),
                    ('hour', leftPad(toString(toHour(last_at)), 2, '0')),
                    (
                        'route',
                        if(
                            actual_route = '' and expected_route = '',
                            '',
                            concat(expected_route, ' > ', actual_route)
                        )
                    )
                ]
            ) as part
        from
            {{ ref("api_order_costs") }} (
                since = {since:DateTime64(3)}, until = {until:DateTime64(3)}
            )
        where
            ({any_strategy:UInt8} or strategy_id = {strategy_id:String})
            and ({any_account:UInt8} or account = {account:String})
    ),
    sums as (
        select
            part .1 as dimension,
            part .2 as part_name,
            {%- for moment in ["ended", "concluded", "executed"] %}
                {%- for column in sums[moment] %}
                    sum({{ column }}) as {{ column }},
                {%- endfor %}
            {%- endfor %}
            arrayMap(
                latency -> if(isNaN(latency), null, latency),
                quantilesExactInclusiveIf(0.5, 0.95)
                (ifNull(submit_ms, 0), submit_ms is not null)
            ) as submit_latency,
            arrayMap(
                latency -> if(isNaN(latency), null, latency),
                quantilesExactInclusiveIf(0.5, 0.95)
                (ifNull(fill_ms, 0), fill_ms is not null)
            ) as fill_latency
        from orders
        group by dimension, part_name
    )
select
    dimension,
    part_name,
    ended_orders as orders,
    rejected_orders + rejected_submits as rejected,
    canceled_orders + expired_orders as canceled,
    vetoes,
    executed_fills as fills,
    toFloat64(executed_notional) as notional,
    {{ execution_ratios().answered_orders }} as answered_orders,
    if(
        ordered_value > 0 or ordered_quantity > 0,
        {{ execution_ratios().fill_share }},
        null
    ) as fill_ratio,
    if(answered_orders > 0, {{ execution_ratios().reject_rate }}, null) as reject_rate,
    if(ended_orders > 0, {{ execution_ratios().cancel_rate }}, null) as cancel_rate,
    toFloat64(slippage_cost) as slippage_cost,
    if(arrival_value > 0, {{ execution_ratios().slippage }}, null) as slippage_bps,
    toFloat64({{ execution_ratios().shortfall_cost }}) as shortfall_cost,
    if(paper_value > 0, {{ execution_ratios().shortfall }}, null) as shortfall_bps,
    toFloat64(delay_cost) as delay_cost,
    toFloat64(trading_cost) as trading_cost,
    toFloat64(opportunity_cost) as opportunity_cost,
    toFloat64(shortfall_fees) as fees,
    submit_latency[1] as submit_ms_p50,
    submit_latency[2] as submit_ms_p95,
    fill_latency[1] as fill_ms_p50,
    fill_latency[2] as fill_ms_p95
from sums
