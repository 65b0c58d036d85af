{# Metric rows from the inputs and one or more arrays of formulas. A formula's value counts when it has no reason not to;
   what is not finite is never a number that anybody should read. #}
{% macro metric_rows(formulas) %}
    select strategy_id, account,
    window
        ,
        metric .1 as metric_name,
        {{ as_of() }} as as_of,
        if(metric .3 = '' and isFinite(metric .2), metric .2, null) as value,
        multiIf(
            metric .3 != '', 'insufficient_data', isFinite(metric .2), 'ok', 'error'
        ) as status,
        multiIf(
            metric .3 != '', metric .3, isFinite(metric .2), metric .4, 'not_finite'
        ) as reason,
        metric .5 as sample_count,
        if(toYear(metric .6) > 1970, metric .6, null) as last_event_at,
        window_start,
        window_end,
        is_open,
        metric .7 as meta
    from
        (
            select strategy_id, account,
            window
                , window_start, window_end, is_open, arrayJoin({{ formulas }}) as metric
            from ({{ formula_columns() }})
        )
{% endmacro %}

{# All metrics with what the dictionary and the mirror say about them: the columns of a metric row. #}
{% macro metric_frames() %}
    {%- set formulas -%}
    arrayConcat({{ performance_formulas() }}, {{ risk_formulas() }}, {{ trade_formulas() }}, {{ exposure_formulas() }})
    {%- endset -%}
    with
        (select watermark from {{ ref("stg_mirror__progress") }}) as mirrored_until,
        (
            select
                (groupArray(metric_name), groupArray(unit), groupArray(formula_version))
            from {{ ref("metric_definitions") }}
        ) as definitions,
        metrics as ({{ metric_rows(formulas) }})
    select strategy_id, account,
    window
        ,
        metric_name,
        as_of,
        value,
        transform(metric_name, definitions .1, definitions .2, '') as unit,
        status,
        -- Completeness decides: how far the mirror is behind, not how long ago
        -- something happened.
        multiIf(
            status != 'ok',
            status,
            not is_open,
            'closed',
            freshness_seconds > {{ maximum_staleness_seconds() }},
            'stale',
            'good'
        ) as quality,
        if(reason = '' and quality = 'stale', 'stale_source', reason) as reason,
        dateDiff('millisecond', watermark, as_of) / 1000 as freshness_seconds,
        least(toDateTime64(as_of, 6, 'UTC'), mirrored_until) as watermark,
        last_event_at,
        sample_count,
        window_start,
        window_end,
        transform(
            metric_name,
            definitions .1,
            arrayMap(version -> toString(version), definitions .3),
            ''
        ) as formula_version,
        meta
    from metrics
{% endmacro %}
