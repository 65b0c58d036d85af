{# Metric rows from a row of metric_inputs and one or more arrays of formulas. #}
{% macro metric_rows(formulas) %}
    select
        strategy_id,
        account,
        window,
        metric.1 as metric_name,
        {{ as_of() }} as as_of,
        -- Not finite is never a number that anybody should read.
        if(isFinite(metric.2), metric.2, null) as value,
        multiIf(metric.2 is null, 'insufficient_data', isFinite(metric.2), 'ok', 'error') as status,
        multiIf(metric.2 is null, metric.3, isFinite(metric.2), metric.4, 'not_finite') as reason,
        metric.5 as sample_count,
        if(toYear(metric.6) > 1970, metric.6, null) as last_event_at,
        window_start,
        window_end,
        is_open,
        metric.7 as meta
    from {{ at_as_of_with_edges("metric_inputs") }}
    array join {{ formulas }} as metric
{% endmacro %}
