{# Returns, risk and tails over the path of a scope's equity; definitions by Sortino and van der Meer (1991) for the
   downside, Hyndman and Fan (1996), type 7, for the quantile. #}
{% macro returns_formulas() -%}
    {%- set path = {"last_event": "last_snapshot_at", "meta": "path_meta"} -%}
    [
        {{ metric("cumulative_return", "total_return", reason="return_reason", samples="length(returns)", **path) }},
        {{
            metric(
                "intraday_return",
                "session_state.3",
                reason="session_reason",
                samples="greatest(length(returns), 1)",
                last_event="last_snapshot_at",
                meta="session_meta",
            )
        }}
    ]
{%- endmacro %}

{% macro risk_formulas() -%}
    {%- set path = {"samples": "length(returns)", "last_event": "last_snapshot_at", "meta": "path_meta"} -%}
    [
        {{
            metric(
                "volatility_annualized",
                "deviation * sqrt(periods_per_year)",
                reason="sample_reason",
                **path
            )
        }},
        {{
            metric(
                "downside_volatility_annualized",
                "downside * sqrt(periods_per_year)",
                reason="sample_reason",
                **path
            )
        }},
        {{
            metric(
                "sharpe_annualized",
                "(mean_return - risk_free_return) / deviation * sqrt(periods_per_year)",
                reason="if(sample_reason = '' and is_flat, 'zero_variance', sample_reason)",
                **path
            )
        }},
        {{
            metric(
                "sortino_annualized",
                "(mean_return - risk_free_return) / shortfall * sqrt(periods_per_year)",
                reason="if(sample_reason = '' and shortfall = 0, 'zero_denominator', sample_reason)",
                **path
            )
        }},
        {{
            metric(
                "calmar",
                "(pow(1 + total_return, periods_per_year / length(returns)) - 1) / abs(max_drawdown)",
                reason="multiIf(not is_long, 'window_too_short', sample_reason = '' and max_drawdown = 0, 'zero_denominator', sample_reason)",
                **path
            )
        }},
        {{ metric("max_drawdown", "max_drawdown", reason="drawdown_reason", **path) }}
    ]
{%- endmacro %}

{% macro tail_formulas() -%}
    {%- set path = {"samples": "length(returns)", "last_event": "last_snapshot_at"} -%}[
        {{
            metric(
                "drawdown_duration_minutes",
                "longest_drawdown_ms / 60000",
                reason="drawdown_reason",
                meta="drawdown_meta",
                **path
            )
        }},
        {{
            metric(
                "var_95_historical",
                "arrayReduce('quantileExactInclusive(0.05)', returns)",
                reason="sample_reason",
                meta="path_meta",
                **path
            )
        }},
        {{
            metric(
                "cvar_95_historical",
                "arrayAvg(arraySlice(arraySort(returns), 1, toUInt32(floor(0.05 * (length(returns) - 1))) + 1))",
                reason="sample_reason",
                meta="path_meta",
                **path
            )
        }}
    ]
{%- endmacro %}

{% macro beta_formulas() -%}
    [
        {{
            metric(
                "beta_vs_benchmark",
                "arrayReduce('covarSampStable', paired_returns, paired_benchmark) / benchmark_variance",
                reason="beta_reason",
                samples="length(paired_returns)",
                last_event="last_snapshot_at",
                meta="beta_meta",
            )
        }}
    ]
{%- endmacro %}

{% macro returns_columns(rows) %}
    select
        *,
        multiIf(
            path_reason != '',
            path_reason,
            not is_start_known,
            'no_opening_state',
            minimum_base <= 0,
            'nonpositive_equity',
            ''
        ) as return_reason,
        multiIf(
            accounts_with_snapshots < accounts or not session_state .1,
            'no_opening_state',
            session_state .2
        ) as session_reason,
        {{
            json_object(
                {
                    "basis": ("basis", "String"),
                    "stale_session": ("not is_open", "Bool"),
                    "calendars": ("calendars", "Array(String)"),
                }
            )
        }} as session_meta
    from ({{ rows }})
{% endmacro %}

{% macro risk_columns(rows) %}
    select
        *,
        pow(1 + {{ var("risk_free_rate") }}, 1 / periods_per_year)
        - 1 as risk_free_return,
        if(
            length(returns) < 2, 0., arrayReduce('stddevSampStable', returns)
        ) as deviation,
        sqrt(
            arraySum(rate -> pow(least(rate, 0), 2), returns) / length(returns)
        ) as downside,
        sqrt(
            arraySum(rate -> pow(least(rate - risk_free_return, 0), 2), returns)
            / length(returns)
        ) as shortfall,
        arraySum(returns) / length(returns) as mean_return,
        -- Rounding leaves a trace of variance in returns that are all the same.
        arrayMax(returns) = arrayMin(returns)
        or deviation <= 1e-12 * arrayMax(rate -> abs(rate), returns) as is_flat,
        has(
            (
                select groupArray(window)
                from {{ ref("metric_windows") }}
                where sessions >= 5
            ),
            window
        ) as is_long
    from ({{ rows }})
{% endmacro %}

{% macro tail_columns(rows) %}
    select
        *,
        toUnixTimestamp64Milli({{ as_of() }}) as now_ms,
        is_under_water and now_ms - high_ms > longest_ms as is_longest_open,
        if(is_longest_open, now_ms - high_ms, longest_ms) as longest_drawdown_ms,
        {{
            json_object(
                {
                    "basis": ("basis", "String"),
                    "sampling_seconds": ("step_ms / 1000", "Float64"),
                    "coverage": ("coverage", "Nullable(Float64)"),
                    "longest_peak_at": (moment_of("if(is_longest_open, high_ms, longest_from_ms)", "longest_drawdown_ms > 0"), "String"),
                    "is_recovered": ("not is_longest_open", "Bool"),
                    "current_underwater_minutes": ("if(is_under_water, (now_ms - high_ms) / 60000, 0)", "Float64"),
                    "max_dd_peak_at": (moment_of("peak_ms", "max_drawdown < 0"), "String"),
                    "max_dd_trough_at": (moment_of("trough_ms", "max_drawdown < 0"), "String"),
                    "max_dd_recovered_at": (moment_of("recovered_ms", "recovered_ms > 0"), "String"),
                    "peak_to_trough_minutes": ("(trough_ms - peak_ms) / 60000", "Float64"),
                }
            )
        }}
        as drawdown_meta
    from ({{ rows }})
{% endmacro %}

{% macro beta_columns(rows) %}
    select
        *,
        arrayFilter(pair -> pair .2 .1, arrayZip(returns, benchmark_returns)) as pairs,
        arrayMap(pair -> pair .1, pairs) as paired_returns,
        arrayMap(pair -> pair .2 .2, pairs) as paired_benchmark,
        if(
            length(pairs) < 2, 0., arrayReduce('varSampStable', paired_benchmark)
        ) as benchmark_variance,
        multiIf(
            benchmark = '' or empty(pairs),
            if(path_reason != '' and benchmark != '', path_reason, 'no_benchmark'),
            sample_reason = 'low_coverage' and length(pairs) >= 0.8 * steps,
            '',
            sample_reason != '',
            sample_reason,
            benchmark_variance <= 1e-18,
            'zero_variance',
            ''
        ) as beta_reason,
        {{
            json_object(
                {
                    "benchmark": ("benchmark", "String"),
                    "basis": ("basis", "String"),
                    "sampling_seconds": ("step_ms / 1000", "Float64"),
                    "pairs": ("length(pairs)", "UInt64"),
                }
            )
        }} as beta_meta
    from ({{ rows }})
{% endmacro %}

{# A moment in milliseconds as text, empty where the condition does not hold. #}
{% macro moment_of(milliseconds, condition) -%}
    if(
        {{ condition }},
        formatDateTime(
            fromUnixTimestamp64Milli(toInt64({{ milliseconds }}), 'UTC'),
            '%Y-%m-%dT%H:%i:%SZ'
        ),
        ''
    )
{%- endmacro %}

{# What risk and tails share: when there are enough samples, and how deep the fall was. #}
{% macro sample_columns(rows) %}
    select
        *,
        multiIf(
            path_reason != '',
            path_reason,
            coverage < 0.8 or coverage is null,
            'low_coverage',
            minimum_base <= 0,
            'nonpositive_equity',
            ''
        ) as sample_reason,
        multiIf(
            path_reason != '',
            path_reason,
            coverage < 0.8 or coverage is null,
            'low_coverage',
            known[1] .4 <= 0,
            'nonpositive_equity',
            ''
        ) as drawdown_reason,
        wealth < high_wealth * (1 - 1e-12) as is_under_water
    from ({{ rows }})
{% endmacro %}

{# What all metrics of a path share. #}
{% macro path_columns(rows) %}
    select
        *,
        transform(
            calendar,
            (select groupArray(calendar) from {{ ref("trading_calendars") }}),
            (
                select groupArray(toFloat64(seconds_per_year))
                from {{ ref("trading_calendars") }}
            ),
            0.
        )
        * 1000
        / step_ms as periods_per_year,
        if(steps = 0, null, length(returns) / steps) as coverage,
        multiIf(
            accounts_with_snapshots < accounts or steps = 0,
            'no_source_rows',
            window_ms = 0,
            'out_of_session',
            window_ms < step_ms,
            'window_too_short',
            not is_end_known,
            'stale_source',
            ''
        ) as path_reason,
        {{
            json_object(
                {
                    "basis": ("basis", "String"),
                    "sampling_seconds": ("step_ms / 1000", "Float64"),
                    "periods_per_year": ("periods_per_year", "Float64"),
                    "annualization_assumption": ("'iid'", "String"),
                    "risk_free_rate": (var("risk_free_rate") | string, "Float64"),
                    "points": ("steps + 1", "UInt64"),
                    "known_points": ("known_points", "UInt64"),
                    "coverage": ("coverage", "Nullable(Float64)"),
                    "net_flow": ("net_flow", "Float64"),
                    "peak_at": (moment_of("peak_ms", "max_drawdown < 0"), "String"),
                    "trough_at": (moment_of("trough_ms", "max_drawdown < 0"), "String"),
                    "calendar": ("calendar", "String"),
                }
            )
        }} as path_meta
    from ({{ rows }})
{% endmacro %}
