{# The formulas of the metrics, one array element per metric, over a row of metric_inputs:
   (metric_name, value, reason when there is no value, caveat when there is one, samples, last event, meta). #}

{# The returns of an account belong to a strategy only when no other strategy has fills on it. #}
{% macro equity_reason() -%}
    multiIf(
        accounts > 1 or (strategy_id != '' and strategies != 1), 'no_capital_base',
        points = 0, 'no_source_rows',
        window_ms = 0, 'out_of_session',
        window_ms < step_ms, 'window_too_short',
        not is_end_known, 'stale_source',
        ''
    )
{%- endmacro %}

{% macro equity_meta() -%}
    toJSONString(
        cast(
            (
                'account_equity', step_ms / 1000, points, if(points = 0, null, known_points / points),
                if(max_drawdown < 0, toString(trough_at), ''), calendars
            ),
            'Tuple(basis String, sampling_seconds Float64, points UInt64, coverage Nullable(Float64), trough_at String, calendars Array(String))'
        )
    )
{%- endmacro %}

{% macro position_meta(unpriced) -%}
    toJSONString(
        cast(
            (
                open_positions, mark_sources, {{ unpriced }},
                if(notional = 0, 0, toFloat64(feeless_notional) / toFloat64(notional)), calendars
            ),
            'Tuple(open_positions UInt64, mark_sources Array(String), unpriced_symbols Array(String), fee_uncovered_notional_share Float64, calendars Array(String))'
        )
    )
{%- endmacro %}

{% macro metric(name, value, reason="''", caveat="''", samples="0", last_event="last_fill_at", meta="''") -%}
    (
        '{{ name }}',
        if(({{ reason }}) = '', toNullable(toFloat64({{ value }})), null),
        {{ reason }},
        {{ caveat }},
        toUInt64({{ samples }}),
        toDateTime64({{ last_event }}, 6, 'UTC'),
        {{ meta }}
    )
{%- endmacro %}

{% macro performance_formulas() -%}
    [
        {{ metric("realized_pnl", "realized_pnl", samples="fills", meta=position_meta("end_unpriced")) }},
        {{
            metric(
                "unrealized_pnl",
                "end_unrealized_pnl",
                reason="if(empty(end_unpriced), '', 'missing_price')",
                samples="open_positions",
                meta=position_meta("end_unpriced"),
            )
        }},
        {{
            metric(
                "net_pnl",
                "realized_pnl + end_unrealized_pnl - start_unrealized_pnl - fees",
                reason="if(empty(end_unpriced) and empty(start_unpriced), '', 'missing_price')",
                caveat="if(feeless_notional > 0, 'missing_fee', '')",
                samples="fills",
                meta=position_meta("arrayDistinct(arrayConcat(start_unpriced, end_unpriced))"),
            )
        }},
        {{
            metric(
                "cumulative_return",
                "end_equity / start_equity - 1",
                reason="multiIf(" ~ equity_reason() ~ " != '', " ~ equity_reason()
                ~ ", not is_start_known, 'no_opening_state', minimum_equity <= 0, 'nonpositive_equity', '')",
                samples="greatest(known_points, 1) - 1",
                last_event="last_snapshot_at",
                meta=equity_meta(),
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
                reason="multiIf(" ~ equity_reason() ~ " != '', " ~ equity_reason()
                ~ ", known_points < 2, 'below_min_samples', known_points < 0.8 * points, 'low_coverage',"
                ~ " start_equity <= 0, 'nonpositive_equity', '')",
                samples="greatest(known_points, 1) - 1",
                last_event="last_snapshot_at",
                meta=equity_meta(),
            )
        }}
    ]
{%- endmacro %}

{% macro trade_meta() -%}
    toJSONString(
        cast(
            (wins, losses, trades - wins - losses, if(notional = 0, 0, toFloat64(feeless_notional) / toFloat64(notional))),
            'Tuple(wins UInt64, losses UInt64, breakevens UInt64, fee_uncovered_notional_share Float64)'
        )
    )
{%- endmacro %}

{% macro trade_formulas() -%}
    [
        {{ metric("trade_count", "trades", samples="trades", last_event="last_trade_at", meta=trade_meta()) }},
        {{
            metric(
                "win_rate",
                "wins / trades",
                reason="if(trades = 0, 'no_trades', '')",
                caveat="if(feeless_notional > 0, 'missing_fee', '')",
                samples="trades",
                last_event="last_trade_at",
                meta=trade_meta(),
            )
        }}
    ]
{%- endmacro %}

{# Accounts take their exposure from the broker's snapshot, strategies from the ledger, and so does an account whose
   snapshots were never seen. #}
{% macro exposure_formulas() -%}
    {%- set from_snapshot = "strategy_id = '' and accounts_with_snapshots = accounts" -%}
    {%- set reason -%}
        multiIf(
            not ({{ from_snapshot }}), if(empty(end_unpriced), '', 'missing_price'),
            is_snapshot_stale, 'stale_source',
            snapshot_unpriced > 0, 'missing_price',
            ''
        )
    {%- endset -%}
    {%- set meta -%}
        toJSONString(
            cast(
                (if({{ from_snapshot }}, 'account_snapshot', 'ledger'), open_positions, mark_sources, end_unpriced, calendars),
                'Tuple(basis String, open_positions UInt64, mark_sources Array(String), unpriced_symbols Array(String), calendars Array(String))'
            )
        )
    {%- endset -%}
    {%- set last_event = "if(" ~ from_snapshot ~ ", last_snapshot_at, last_fill_at)" -%}
    {%- set gross = "if(" ~ from_snapshot ~ ", snapshot_gross, gross_value)" -%}
    [
        {{ metric("gross_exposure", gross, reason=reason, samples="open_positions", last_event=last_event, meta=meta) }},
        {{
            metric(
                "net_exposure",
                "if(" ~ from_snapshot ~ ", snapshot_net, net_value)",
                reason=reason,
                samples="open_positions",
                last_event=last_event,
                meta=meta,
            )
        }},
        {{
            metric(
                "leverage_gross_over_equity",
                "toFloat64(" ~ gross ~ ") / end_equity",
                reason="multiIf((" ~ reason ~ ") != '', " ~ reason
                ~ ", accounts_with_snapshots < accounts, 'no_source_rows', is_snapshot_stale, 'stale_source',"
                ~ " end_equity <= 0, 'nonpositive_equity', '')",
                samples="open_positions",
                last_event=last_event,
                meta=meta,
            )
        }}
    ]
{%- endmacro %}
