{# Profit in money: what was realized and what is open, at average cost. #}
{% macro profit_formulas() -%}
    [
        {{ metric("realized_pnl", "realized_pnl", samples="fills", meta="profit_meta") }},
        {{
            metric(
                "unrealized_pnl",
                "end_unrealized_pnl",
                reason="end_price_reason",
                samples="open_positions",
                meta="profit_meta",
            )
        }},
        {{
            metric(
                "gross_pnl",
                "gross_pnl",
                reason="window_price_reason",
                samples="fills",
                meta="profit_meta",
            )
        }},
        {{
            metric(
                "net_pnl",
                "gross_pnl - fees",
                reason="window_price_reason",
                caveat="fee_caveat",
                samples="fills",
                meta="profit_meta",
            )
        }},
        {{
            metric(
                "cost_bps",
                "10000 * toFloat64(fees) / toFloat64(notional)",
                reason="multiIf(notional = 0, 'zero_denominator', feeless_notional = notional, 'missing_fee', '')",
                caveat="fee_caveat",
                samples="fills",
                meta="profit_meta",
            )
        }}
    ]
{%- endmacro %}

{% macro profit_columns(rows) %}
    select
        *,
        realized_pnl + end_unrealized_pnl - start_unrealized_pnl as gross_pnl,
        if(empty(end_unpriced), '', 'missing_price') as end_price_reason,
        if(
            empty(end_unpriced) and empty(start_unpriced), '', 'missing_price'
        ) as window_price_reason,
        if(feeless_notional > 0, 'missing_fee', '') as fee_caveat,
        {{
            json_object(
                {
                    "open_positions": ("open_positions", "UInt64"),
                    "start_unrealized_pnl": ("start_unrealized_pnl", "String"),
                    "fees": ("fees", "String"),
                    "notional": ("notional", "String"),
                    "mark_sources": ("mark_sources", "Array(String)"),
                    "unpriced_symbols": ("arrayDistinct(arrayConcat(start_unpriced, end_unpriced))", "Array(String)"),
                    "fee_uncovered_notional_share": (feeless_share(), "Float64"),
                    "calendars": ("calendars", "Array(String)"),
                }
            )
        }}
        as profit_meta
    from ({{ rows }})
{% endmacro %}

{# Share of the money traded whose fee is unknown. #}
{% macro feeless_share() -%}
    if(notional = 0, 0, toFloat64(feeless_notional) / toFloat64(notional))
{%- endmacro %}
