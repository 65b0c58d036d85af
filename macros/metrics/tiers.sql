{# The tiers: the frame of this moment for the families of a tier, what of it is new, and what goes into the series. #}
{# Seconds between the ticks of each tier. #}
{% macro tier_seconds() %}
    {{ return((env_var('JANGAR_TORGHUT_QUANT_COMPUTE_INTERVAL_MS', '1000') | int) // 1000) }}
{% endmacro %}
{% macro medium_seconds() %}
    {{ return((env_var('JANGAR_TORGHUT_QUANT_MEDIUM_COMPUTE_INTERVAL_MS', '5000') | int) // 1000) }}
{% endmacro %}
{% macro heavy_seconds() %}
    {{ return((env_var('JANGAR_TORGHUT_QUANT_HEAVY_COMPUTE_INTERVAL_MS', '30000') | int) // 1000) }}
{% endmacro %}

{# The frame of a tier, beside the former one: when a row last said something new, and when it was last written to the
   series: with every change, else once per minute, so that an unchanged value costs one row a minute and a gap means
   that nothing was computed. #}
{% macro tier_frame(tier, former) %}
    {#- Null-safe: a metric without a value stays without one. -#}
    {%- set is_unchanged -%}
    (
        former.metric_name != ''
        and former.value <=> frame.value
        and former.status = frame.status
        and former.quality = frame.quality
        and former.reason = frame.reason
    )
    {%- endset %}
    select
        {%- for column in frame_columns() %}
            frame.{{ column }} as {{ column }},
        {%- endfor %}
        if({{ is_unchanged }}, former.changed_at, frame.as_of) as changed_at,
        if(
            {{ is_unchanged }}
            and frame.as_of < former.recorded_at + interval 60 second,
            former.recorded_at,
            frame.as_of
        ) as recorded_at
    from ({{ metric_frames(families_of(tier=tier)) }}) as frame
    left join
        {{ former }} as former
        on frame.strategy_id = former.strategy_id
        and frame.account = former.account
        and frame.window = former.window
        and frame.metric_name = former.metric_name
{% endmacro %}

{# Columns of a metric row. #}
{% macro frame_columns() -%}
    {{ return([
        "strategy_id", "account", "window", "metric_name", "as_of", "known_at", "value", "unit", "status", "quality", "reason",
        "freshness_seconds", "watermark", "last_event_at", "sample_count", "window_start", "window_end",
        "formula_version", "meta",
    ]) }}
{%- endmacro %}

{# Rows of a tier's frame that were recorded since the series last took any of that tier. #}
{% macro newly_recorded(tier) %}
    select {{ frame_columns() | join(", ") }}, '{{ tier }}' as tier
    from {{ ref("latest_" ~ tier) }}
    -- The partition key knows the newest moment without reading a row.
    where
        recorded_at > (
            select max(as_of)
            from {{ ref("quant_metrics_series") }}
            where tier = '{{ tier }}'
        )
{% endmacro %}

{# How long the series keeps what: every row, then the last one of each minute, then the last one of each hour. Merges do
   it, whole rows at a time, so that a value, its reason and its meta stay together. #}
{% macro series_ttl() -%}
    {%- set key = "strategy_id, account, window, metric_name, toStartOfHour(as_of)" -%}
    {%- set last = [] -%}
    {%- for column in frame_columns() + ["tier"] if column not in ("strategy_id", "account", "window", "metric_name", "as_of") -%}
        {#- A merge reads the rows in their order; a missing value counts as well. -#}
        {%- do last.append(column ~ " = anyLast_respect_nulls(" ~ column ~ ")") -%}
    {%- endfor -%}
    {%- do last.append("as_of = max(as_of)") -%}
    {{ return(
        "toDateTime(as_of) + interval " ~ var("series_full_hours") ~ " hour group by " ~ key
        ~ ", toStartOfMinute(as_of) set " ~ last | join(", ")
        ~ ", toDateTime(as_of) + interval " ~ var("series_minute_days") ~ " day group by " ~ key
        ~ " set " ~ last | join(", ")
        ~ ", toDateTime(as_of) + interval " ~ var("series_hour_days") ~ " day delete"
    ) }}
{%- endmacro %}

{# Of 540,000 rows of 150 scopes, one takes 2.3 bytes in blocks of a mebibyte, 4.9 in those of 64 KiB, at the same times of
   reading; with Gorilla and DoubleDelta 6.7. #}
{% macro series_settings() -%}
    {{ return({
        "merge_with_ttl_timeout": 3600, "min_compress_block_size": 1048576, "max_compress_block_size": 1048576,
    }) }}
{%- endmacro %}

{# Give a table of an earlier version the codecs and settings of its model; parts follow when they are merged. #}
{% macro keep_storage(table_settings) -%}
    {%- set changes = [] -%}
    {%- for name, column in model.columns.items() if column.codec -%}
        {%- do changes.append("modify column " ~ adapter.quote(name) ~ " codec(" ~ column.codec ~ ")") -%}
    {%- endfor -%}
    {%- set assigned = [] -%}
    {%- for name, value in table_settings.items() -%}
        {%- do assigned.append(name ~ " = " ~ value) -%}
    {%- endfor -%}
    {{ return("alter table " ~ this ~ " " ~ changes | join(", ") ~ ", modify setting " ~ assigned | join(", ")) }}
{%- endmacro %}
