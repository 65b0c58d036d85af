{# Execution: how orders end, what they cost against the market, how long they take and by which route they go. #}
{# Formulas over sums of orders, for windows and for any other group of orders. #}
{% macro execution_ratios() -%}
    {{ return({
        'answered_orders': "ended_orders + rejected_submits",
        'fill_share': "if( ordered_value > 0, toFloat64(obtained_value) / toFloat64(ordered_value),"
        ~ " toFloat64(obtained_quantity) / toFloat64(ordered_quantity) )",
        'reject_rate': "(rejected_orders + rejected_submits) / answered_orders",
        'cancel_rate': "(canceled_orders + expired_orders) / ended_orders",
        'slippage': "10000 * toFloat64(slippage_cost) / toFloat64(arrival_value)",
        'shortfall_cost': "delay_cost + trading_cost + opportunity_cost + shortfall_fees",
        'shortfall': "10000 * toFloat64(shortfall_cost) / toFloat64(paper_value)",
    }) }}
{%- endmacro %}

{# What several formulas share, each once: reasons, caveats, meta. `from` has the columns of scope_orders. #}
{% macro order_columns(from) %}
    select
        *,
        if(ended_orders = 0, 'no_source_rows', '') as order_reason,
        multiIf(
            order_reason != '',
            order_reason,
            ordered_value = 0 and ordered_quantity = 0,
            'zero_denominator',
            ''
        ) as fill_reason,
        {{ execution_ratios().fill_share }} as fill_share,
        {{ execution_ratios().answered_orders }} as answered_orders,
        if(answered_orders = 0, 'no_source_rows', '') as reject_reason,
        if(
            executed_notional = 0,
            0,
            toFloat64(executed_notional - covered_notional)
            / toFloat64(executed_notional)
        ) as uncovered_share,
        multiIf(
            executed_fills = 0,
            'no_source_rows',
            uncovered_share > 0.5 or arrival_value = 0,
            'missing_price',
            ''
        ) as slippage_reason,
        {{ execution_ratios().shortfall_cost }} as shortfall_cost,
        multiIf(
            concluded_decisions = 0,
            'no_source_rows',
            paper_value = 0,
            'missing_price',
            ''
        ) as shortfall_reason,
        if(feeless_decisions > 0, 'missing_fee', '') as shortfall_caveat,
        if(submitted_orders = 0, 'no_source_rows', '') as route_reason,
        {%- for latency in ["submit_latency", "fill_latency"] %}
            if(
                {{ latency }}_count = 0, 'below_min_samples', ''
            ) as {{ latency }}_reason,
            -- Both stamps come from clocks of their own.
            if(
                {{ latency }}_negative_count
                > 0.01 * ({{ latency }}_count + {{ latency }}_negative_count),
                'clock_skew',
                ''
            ) as {{ latency }}_caveat,
        {%- endfor %}
        {{
            json_object(
                {
                    "orders": ("ended_orders", "UInt64"),
                    "order_fill_ratio": (
                        "if(ended_orders = 0, null, filled_orders / ended_orders)",
                        "Nullable(Float64)",
                    ),
                    "qty_fill_ratio": (
                        "if(ordered_quantity = 0, null, toFloat64(obtained_quantity) / toFloat64(ordered_quantity))",
                        "Nullable(Float64)",
                    ),
                    "basis": ("if(ordered_value > 0, 'notional', 'quantity')", "String"),
                    "unpriced_orders": ("ended_orders - weighted_orders", "UInt64"),
                }
            )
        }}
        as fill_meta,
        {{
            json_object(
                {
                    "orders": ("ended_orders", "UInt64"),
                    "rejected": ("rejected_orders", "UInt64"),
                    "rejected_submits": ("rejected_submits", "UInt64"),
                    "vetoes": ("vetoes", "UInt64"),
                    "veto_rate": (
                        "if(vetoes + answered_orders = 0, null, vetoes / (vetoes + answered_orders))",
                        "Nullable(Float64)",
                    ),
                }
            )
        }}
        as reject_meta,
        {{
            json_object(
                {
                    "orders": ("ended_orders", "UInt64"),
                    "canceled": ("canceled_orders", "UInt64"),
                    "expired": ("expired_orders", "UInt64"),
                    "replaced": ("replaced_orders", "UInt64"),
                }
            )
        }} as cancel_meta,
        {{
            json_object(
                {
                    "fills": ("executed_fills", "UInt64"),
                    "uncovered_fills": ("executed_fills - covered_fills", "UInt64"),
                    "uncovered_notional_share": ("uncovered_share", "Float64"),
                    "cost": ("toFloat64(slippage_cost)", "Float64"),
                }
            )
        }} as slippage_meta,
        {{
            json_object(
                {
                    "decisions": ("concluded_decisions", "UInt64"),
                    "uncovered": ("concluded_decisions - measured_decisions", "UInt64"),
                    "without_arrival": ("unsplit_decisions", "UInt64"),
                    "without_fee": ("feeless_decisions", "UInt64"),
                    "cost": ("toFloat64(shortfall_cost)", "Float64"),
                    "delay": ("toFloat64(delay_cost)", "Float64"),
                    "trading": ("toFloat64(trading_cost)", "Float64"),
                    "opportunity": ("toFloat64(opportunity_cost)", "Float64"),
                    "fees": ("toFloat64(shortfall_fees)", "Float64"),
                }
            )
        }} as shortfall_meta,
        {{
            json_object(
                {
                    "orders": ("submit_latency_count", "UInt64"),
                    "negative": ("submit_latency_negative_count", "UInt64"),
                }
            )
        }} as submit_latency_meta,
        {{
            json_object(
                {
                    "orders": ("fill_latency_count", "UInt64"),
                    "negative": ("fill_latency_negative_count", "UInt64"),
                    "last_fill_orders": ("last_fill_latency_count", "UInt64"),
                    "last_fill_p50": (
                        "if(last_fill_latency_count = 0, null, last_fill_latency_ms[1])",
                        "Nullable(Float64)",
                    ),
                    "last_fill_p95": (
                        "if(last_fill_latency_count = 0, null, last_fill_latency_ms[2])",
                        "Nullable(Float64)",
                    ),
                }
            )
        }}
        as fill_latency_meta,
        {{
            json_object(
                {
                    "orders": ("submitted_orders", "UInt64"),
                    "missing": ("unrouted_orders", "UInt64"),
                    "unknown": ("unknown_routes", "UInt64"),
                    "fallback": ("fallback_routes", "UInt64"),
                }
            )
        }} as route_meta
    from ({{ from }})
{% endmacro %}

{% macro order_formulas() -%}
    [
        {{
            metric(
                "fill_ratio", "fill_share", reason="fill_reason", samples="ended_orders", last_event="last_ended_at",
                meta="fill_meta",
            )
        }},
        {{
            metric(
                "reject_rate", execution_ratios().reject_rate, reason="reject_reason",
                samples="answered_orders", last_event="last_ended_at", meta="reject_meta",
            )
        }},
        {{
            metric(
                "cancel_rate", execution_ratios().cancel_rate, reason="order_reason",
                samples="ended_orders", last_event="last_ended_at", meta="cancel_meta",
            )
        }},
        {{
            metric(
                "slippage_bps_vs_mid", execution_ratios().slippage,
                reason="slippage_reason", samples="covered_fills", last_event="last_executed_at", meta="slippage_meta",
            )
        }},
        {{
            metric(
                "implementation_shortfall_bps", execution_ratios().shortfall,
                reason="shortfall_reason", caveat="shortfall_caveat", samples="measured_decisions",
                last_event="last_concluded_at", meta="shortfall_meta",
            )
        }},
        {%- for prefix, latency, event in [
            ("decision_to_submit", "submit_latency", "last_submitted_at"),
            ("submit_to_fill", "fill_latency", "last_opened_at"),
        ] %}
            {%- for quantile in ["p50", "p95"] %}
                {{
                    metric(
                        prefix ~ "_latency_ms_" ~ quantile, latency ~ "_ms[" ~ loop.index ~ "]",
                        reason=latency ~ "_reason", caveat=latency ~ "_caveat", samples=latency ~ "_count",
                        last_event=event, meta=latency ~ "_meta",
                    )
                }},
            {%- endfor %}
        {%- endfor %}
        {%- for name, value in [
            ("route_provenance_coverage_ratio", "(submitted_orders - unrouted_orders) / submitted_orders"),
            ("route_unknown_ratio", "unknown_routes / submitted_orders"),
            ("route_fallback_ratio", "fallback_routes / submitted_orders"),
        ] %}
            {{
                metric(
                    name, value, reason="route_reason", samples="submitted_orders", last_event="last_submitted_at",
                    meta="route_meta",
                )
            }}{{ "," if not loop.last }}
        {%- endfor %}
    ]
{%- endmacro %}
