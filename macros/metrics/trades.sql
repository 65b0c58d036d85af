{# Closed trades: all closing fills of one order in one instrument, net of fees. #}
{% macro trade_formulas() -%}
    {%- set trade = {"samples": "trades", "last_event": "last_trade_at", "meta": "trade_meta"} -%}
    {%- set no_trades = "if(trades = 0, 'no_trades', '')" -%}
    {%- set no_wins = "if(wins = 0, 'no_wins', '')" -%}
    {%- set no_losses = "if(losses = 0, 'no_losses', '')" -%}
    [
        {{ metric("trade_count", "trades", **trade) }},
        {{ metric("win_rate", "wins / trades", reason=no_trades, caveat="trade_fee_caveat", **trade) }},
        {{
            metric(
                "profit_factor",
                "toFloat64(win_pnl) / -toFloat64(loss_pnl)",
                reason="multiIf(trades = 0, 'no_trades', losses = 0, 'no_losses', '')",
                caveat="trade_fee_caveat",
                **trade
            )
        }},
        {{
            metric(
                "avg_win",
                "toFloat64(win_pnl) / wins",
                reason=no_wins,
                caveat="trade_fee_caveat",
                samples="wins",
                last_event="last_trade_at",
                meta="trade_meta",
            )
        }},
        {{
            metric(
                "avg_loss",
                "toFloat64(loss_pnl) / losses",
                reason=no_losses,
                caveat="trade_fee_caveat",
                samples="losses",
                last_event="last_trade_at",
                meta="trade_meta",
            )
        }},
        {{
            metric(
                "payoff_ratio",
                "(toFloat64(win_pnl) / wins) / -(toFloat64(loss_pnl) / losses)",
                reason="multiIf(wins = 0, 'no_wins', losses = 0, 'no_losses', '')",
                caveat="trade_fee_caveat",
                **trade
            )
        }},
        {{
            metric(
                "expectancy_per_trade",
                "toFloat64(trade_pnl) / trades",
                reason=no_trades,
                caveat="trade_fee_caveat",
                **trade
            )
        }},
        {{
            metric(
                "avg_holding_minutes",
                "toFloat64(holding_seconds) / trades / 60",
                reason=no_trades,
                **trade
            )
        }}
    ]
{%- endmacro %}

{% macro trade_columns(rows) %}
    select
        *,
        if(feeless_notional > 0, 'missing_fee', '') as trade_fee_caveat,
        {{
            json_object(
                {
                    "wins": ("wins", "UInt64"),
                    "losses": ("losses", "UInt64"),
                    "breakevens": ("trades - wins - losses", "UInt64"),
                    "gross_profit": ("win_pnl", "String"),
                    "gross_loss": ("loss_pnl", "String"),
                    "round_trips": ("round_trips", "UInt64"),
                    "fee_uncovered_notional_share": (feeless_share(), "Float64"),
                }
            )
        }} as trade_meta
    from ({{ rows }})
{% endmacro %}

{# Money traded over the mean equity of the window's grid, both sides counted, not annualized. #}
{% macro turnover_formulas() -%}
    [
        {{
            metric(
                "turnover_ratio",
                "toFloat64(notional) / mean_base",
                reason="turnover_reason",
                samples="length(inner_points)",
                meta="turnover_meta",
            )
        }}
    ]
{%- endmacro %}

{% macro turnover_columns(rows) %}
    select
        *,
        multiIf(
            accounts_with_snapshots < accounts,
            'no_source_rows',
            empty(inner_points),
            'stale_source',
            mean_base <= 0,
            'nonpositive_equity',
            ''
        ) as turnover_reason,
        {{
            json_object(
                {
                    "basis": ("basis", "String"),
                    "notional": ("notional", "String"),
                    "mean_equity": ("if(turnover_reason = '', mean_base, null)", "Nullable(Float64)"),
                    "sampling_seconds": ("step_ms / 1000", "Float64"),
                }
            )
        }}
        as turnover_meta
    from ({{ rows }})
{% endmacro %}
