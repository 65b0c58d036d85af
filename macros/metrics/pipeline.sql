{# The formulas of the feeds and of their coverage, over rows of scopes and windows. #}
{# What the formulas of the feeds share, over rows with the columns of scope_feeds. #}
{% macro feed_columns(from) %}
    select
        *,
        arraySort(signal -> (signal .2, signal .1), signals) as by_age,
        -- Of the active instruments; where nothing is active, the freshest of all.
        if(
            empty(active_symbols),
            arrayMax(arrayConcat([toDateTime64(0, 3, 'UTC')], signals .2)),
            arrayMin(arrayConcat([toDateTime64('2200-01-01', 3, 'UTC')], signals .2))
        ) as signal_at,
        if(empty(signals), 'no_source_rows', '') as signal_reason,
        if(empty(unseen_symbols), '', 'no_source_rows') as signal_caveat,
        if(toYear(reviewed_at) = 1970, 'no_source_rows', '') as context_reason,
        if(checkpoints = 0, 'no_watermark', '') as lag_reason,
        dateDiff('microsecond', signal_at, toDateTime64(window_end, 6, 'UTC'))
        / 1e6 as signal_age,
        dateDiff('microsecond', reviewed_at, toDateTime64(window_end, 6, 'UTC'))
        / 1e6 as review_age,
        dateDiff(
            'microsecond',
            least(toDateTime64(window_end, 6, 'UTC'), mirrored_until),
            toDateTime64(window_end, 6, 'UTC')
        )
        / 1e6 as mirror_lag,
        {{
            json_object(
                {
                    "active_symbols": ("length(active_symbols)", "UInt64"),
                    "stalest": (
                        "arrayMap(signal -> (signal .1, toString(signal .2)), arraySlice(by_age, 1, 5))",
                        "Array(Tuple(symbol String, signal_at String))",
                    ),
                    "freshest": (
                        "arrayMap(signal -> (signal .1, toString(signal .2)), arraySlice(by_age, -1))",
                        "Array(Tuple(symbol String, signal_at String))",
                    ),
                    "unseen_symbols": ("arraySlice(unseen_symbols, 1, 5)", "Array(String)"),
                }
            )
        }}
        as signal_meta,
        {{
            json_object(
                {
                    "reviewed_at": ("if(context_reason = '', toString(reviewed_at), '')", "String"),
                    "age_at_review_seconds": ("context_age", "Float64"),
                }
            )
        }}
        as context_meta,
        {{
            json_object(
                {
                    "watermark": ("if(lag_reason = '', toString(mirrored_until), '')", "String"),
                }
            )
        }}
        as lag_meta
    from ({{ from }})
{% endmacro %}

{% macro feed_formulas() -%}
    [
        {{
            metric(
                "ta_freshness_seconds",
                "signal_age",
                reason="signal_reason",
                caveat="signal_caveat",
                samples="length(signals)",
                last_event="toDateTime64(signal_at, 6, 'UTC')",
                meta="signal_meta",
            )
        }},
        {{
            metric(
                "context_freshness_seconds",
                "review_age + context_age",
                reason="context_reason",
                samples="toYear(reviewed_at) > 1970",
                last_event="reviewed_at",
                meta="context_meta",
            )
        }},
        {{
            metric(
                "metrics_pipeline_lag_seconds",
                "mirror_lag",
                reason="lag_reason",
                samples="checkpoints > 0",
                last_event="mirrored_until",
                meta="lag_meta",
            )
        }}
    ]
{%- endmacro %}

{# The same of the coverage, over rows with the columns of scope_coverage. #}
{% macro coverage_columns(from) %}
    {%- set symbols = "Array(Tuple(symbol String, missing UInt64))" %}
    select
        *,
        multiIf(
            price_points = 0,
            'out_of_session',
            expected_prices = 0,
            'no_source_rows',
            ''
        ) as price_reason,
        multiIf(
            signal_slots = 0,
            'out_of_session',
            expected_signals = 0,
            'no_source_rows',
            ''
        ) as missing_signal_reason,
        {{
            json_object(
                {
                    "expected": ("expected_prices", "UInt64"),
                    "missing": ("missing_prices", "UInt64"),
                    "worst": ("unpriced_symbols", symbols),
                    "maximum_mark_age_seconds": (maximum_mark_age_ms() / 1000, "Float64"),
                }
            )
        }}
        as price_meta,
        {{
            json_object(
                {
                    "expected": ("expected_signals", "UInt64"),
                    "missing": ("missing_signals", "UInt64"),
                    "worst": ("silent_symbols", symbols),
                    "grace_seconds": (signal_grace_ms() / 1000, "Float64"),
                }
            )
        }} as missing_signal_meta
    from ({{ from }})
{% endmacro %}

{% macro coverage_formulas() -%}
    [
        {{
            metric(
                "missing_price_rate",
                "missing_prices / expected_prices",
                reason="price_reason",
                samples="expected_prices",
                last_event="toDateTime64(0, 6, 'UTC')",
                meta="price_meta",
            )
        }},
        {{
            metric(
                "missing_signal_rate",
                "missing_signals / expected_signals",
                reason="missing_signal_reason",
                samples="expected_signals",
                last_event="toDateTime64(0, 6, 'UTC')",
                meta="missing_signal_meta",
            )
        }}
    ]
{%- endmacro %}
