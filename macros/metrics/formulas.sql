{# The formulas of the metrics, one array element per metric, over a row of `formula_columns`:
   (metric_name, value, reason when there is no value, caveat when there is one, samples, last event, meta). #}
{% macro metric(name, value, reason="''", caveat="''", samples="0", last_event="last_fill_at", meta="''") -%}
    (
        '{{ name }}',
        toNullable({{ value }}),
        {{ reason }},
        {{ caveat }},
        toUInt64({{ samples }}),
        {{ last_event }},
        {{ meta }}
    )
{%- endmacro %}

{% macro performance_formulas() -%}
    [
        {{ metric("realized_pnl", "toFloat64(realized_pnl)", samples="fills", meta="position_meta") }},
        {{
            metric(
                "unrealized_pnl",
                "toFloat64(end_unrealized_pnl)",
                reason="end_price_reason",
                samples="open_positions",
                meta="position_meta",
            )
        }},
        {{
            metric(
                "net_pnl",
                "toFloat64(realized_pnl + end_unrealized_pnl - start_unrealized_pnl - fees)",
                reason="window_price_reason",
                caveat="fee_caveat",
                samples="fills",
                meta="position_meta",
            )
        }},
        {{
            metric(
                "cumulative_return",
                "end_equity / start_equity - 1",
                reason="return_reason",
                samples="return_count",
                last_event="last_snapshot_at",
                meta="equity_meta",
            )
        }}
    ]
{%- endmacro %}

{% macro risk_formulas() -%}
    [
        {{
            metric(
                "max_drawdown",
                "max_drawdown",
                reason="drawdown_reason",
                samples="return_count",
                last_event="last_snapshot_at",
                meta="equity_meta",
            )
        }}
    ]
{%- endmacro %}

{% macro trade_formulas() -%}
    [
        {{ metric("trade_count", "toFloat64(trades)", samples="trades", last_event="last_trade_at", meta="trade_meta") }},
        {{
            metric(
                "win_rate",
                "wins / trades",
                reason="trade_reason",
                caveat="fee_caveat",
                samples="trades",
                last_event="last_trade_at",
                meta="trade_meta",
            )
        }}
    ]
{%- endmacro %}

{% macro exposure_formulas() -%}
    [
        {{
            metric(
                "gross_exposure",
                "toFloat64(gross_exposure)",
                reason="exposure_reason",
                samples="open_positions",
                last_event="exposure_at",
                meta="exposure_meta",
            )
        }},
        {{
            metric(
                "net_exposure",
                "toFloat64(net_exposure)",
                reason="exposure_reason",
                samples="open_positions",
                last_event="exposure_at",
                meta="exposure_meta",
            )
        }},
        {{
            metric(
                "leverage_gross_over_equity",
                "toFloat64(gross_exposure) / end_equity",
                reason="leverage_reason",
                samples="open_positions",
                last_event="exposure_at",
                meta="exposure_meta",
            )
        }}
    ]
{%- endmacro %}

{# What several formulas share, each once: reasons, caveats, meta. In two steps, because the second uses the first. #}
{% macro formula_columns() %}
    select
        *,
        multiIf(
            equity_reason != '',
            equity_reason,
            not is_start_known,
            'no_opening_state',
            minimum_equity <= 0,
            'nonpositive_equity',
            ''
        ) as return_reason,
        multiIf(
            equity_reason != '',
            equity_reason,
            known_points < 2,
            'below_min_samples',
            known_points < 0.8 * points,
            'low_coverage',
            start_equity <= 0,
            'nonpositive_equity',
            ''
        ) as drawdown_reason,
        multiIf(
            not is_broker_exposure,
            end_price_reason,
            is_snapshot_stale,
            'stale_source',
            snapshot_unpriced > 0,
            'missing_price',
            ''
        ) as exposure_reason,
        multiIf(
            exposure_reason != '',
            exposure_reason,
            accounts_with_snapshots < accounts,
            'no_source_rows',
            is_snapshot_stale,
            'stale_source',
            end_equity <= 0,
            'nonpositive_equity',
            ''
        ) as leverage_reason,
        if(is_broker_exposure, snapshot_gross, gross_value) as gross_exposure,
        if(is_broker_exposure, snapshot_net, net_value) as net_exposure,
        if(is_broker_exposure, last_snapshot_at, last_fill_at) as exposure_at,
        {{
            json_object(
                {
                    "basis": ("if(is_broker_exposure, 'account_snapshot', 'ledger')", "String"),
                    "open_positions": ("open_positions", "UInt64"),
                    "mark_sources": ("mark_sources", "Array(String)"),
                    "unpriced_symbols": ("end_unpriced", "Array(String)"),
                    "calendars": ("calendars", "Array(String)"),
                }
            )
        }}
        as exposure_meta,
        {{
            json_object(
                {
                    "open_positions": ("open_positions", "UInt64"),
                    "mark_sources": ("mark_sources", "Array(String)"),
                    "unpriced_symbols": ("arrayDistinct(arrayConcat(start_unpriced, end_unpriced))", "Array(String)"),
                    "fee_uncovered_notional_share": ("feeless_share", "Float64"),
                    "calendars": ("calendars", "Array(String)"),
                }
            )
        }}
        as position_meta,
        {{
            json_object(
                {
                    "wins": ("wins", "UInt64"),
                    "losses": ("losses", "UInt64"),
                    "breakevens": ("trades - wins - losses", "UInt64"),
                    "fee_uncovered_notional_share": ("feeless_share", "Float64"),
                }
            )
        }} as trade_meta,
        {{
            json_object(
                {
                    "basis": ("if(equity_reason = 'no_capital_base', 'none', 'account_equity')", "String"),
                    "sampling_seconds": ("step_ms / 1000", "Float64"),
                    "points": ("points", "UInt64"),
                    "coverage": ("if(points = 0, null, known_points / points)", "Nullable(Float64)"),
                    "trough_at": ("if(max_drawdown < 0, toString(trough_at), '')", "String"),
                    "calendars": ("calendars", "Array(String)"),
                }
            )
        }}
        as equity_meta
    from
        (
            select
                *,
                -- The returns of an account belong to a strategy only when no other
                -- strategy has fills on it.
                multiIf(
                    accounts > 1 or (strategy_id != '' and strategies != 1),
                    'no_capital_base',
                    points = 0,
                    'no_source_rows',
                    window_ms = 0,
                    'out_of_session',
                    window_ms < step_ms,
                    'window_too_short',
                    not is_end_known,
                    'stale_source',
                    ''
                ) as equity_reason,
                greatest(known_points, 1) - 1 as return_count,
                if(empty(end_unpriced), '', 'missing_price') as end_price_reason,
                if(
                    empty(end_unpriced) and empty(start_unpriced), '', 'missing_price'
                ) as window_price_reason,
                if(feeless_notional > 0, 'missing_fee', '') as fee_caveat,
                if(
                    notional = 0, 0, toFloat64(feeless_notional) / toFloat64(notional)
                ) as feeless_share,
                if(trades = 0, 'no_trades', '') as trade_reason,
                -- Accounts take their exposure from the broker's snapshot, strategies
                -- from the ledger, and so does an
                -- account whose snapshots were never seen.
                strategy_id = ''
                and accounts_with_snapshots = accounts as is_broker_exposure
            from ({{ metric_inputs() }})
        )
{% endmacro %}

{# A JSON object from a mapping of name to (expression, ClickHouse type). #}
{% macro json_object(fields) -%}
    {%- set names = fields.keys() | list -%}
    toJSONString(
        cast(
            (
                {%- for name in names %}
                    {{ fields[name][0] }}{{ ", " if not loop.last }}
                {% endfor -%}
            ),
            'Tuple(
                {%- for name in names %}{{ name }} {{ fields[name][1] }}{{ ", " if not loop.last }}{% endfor -%}
            )'
        )
    )
{%- endmacro %}
