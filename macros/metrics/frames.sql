{# Metric rows of some families: the columns of a frame. #}
{# Rows (strategy_id, account, window, metric): a formula's value counts when it has no reason not to and samples enough;
   what is not finite is never a number that anybody should read. #}
{% macro metric_rows(families) %}
    select strategy_id, account,
    window
        ,
        metric .1 as metric_name,
        metric .2 as value,
        transform(
            metric_name,
            definitions .1,
            arrayMap(minimum -> toUInt64(minimum), definitions .4),
            toUInt64(0)
        ) as minimum_samples,
        -- Too few samples come before what they look like.
        if(
            metric .5 < minimum_samples
            and metric .3 in ('', 'low_coverage', 'zero_variance', 'zero_denominator'),
            'below_min_samples',
            metric .3
        ) as lack,
        metric .4 as caveat,
        metric .5 as sample_count,
        if(toYear(metric .6) > 1970, metric .6, null) as last_event_at,
        metric .7 as meta,
        window_start,
        is_open
    from
        (
            {%- for bundle in bundles_of(families) %}
                {{ bundle_rows(bundle) }} {{ "union all" if not loop.last }}
            {%- endfor %}
        )
{% endmacro %}

{# The metrics of families that read the same inputs. Each bundle carries its own columns only: as one row of all inputs,
   some 200 columns through 14 layers, the whole frame took 3.4 s to plan. #}
{% macro bundle_rows(families) %}
    {%- set rows = [metric_inputs(families)] -%}
    {%- for name in needs_of(families, "columns") -%}
        {%- do rows.append(context[name ~ "_columns"](rows[-1])) -%}
    {%- endfor -%}
    {%- set formulas = [] -%}
    {%- for family in families -%}
        {%- do formulas.append(context[family ~ "_formulas"]()) -%}
    {%- endfor -%}
    select strategy_id, account,
    window
        ,
        window_start,
        is_open,
        arrayJoin(arrayConcat({{ formulas | join(", ") }})) as metric
    from ({{ rows[-1] }})
{% endmacro %}

{# The metrics of some families with what the dictionary and the mirror say about them: the columns of a metric row. #}
{% macro metric_frames(families) %}
    with
        {%- if not is_live() %} {{ known_constants() }}, {%- endif %}
        {{ mirrored_until() }} as mirrored_until,
        (
            select
                (
                    groupArray(metric_name),
                    groupArray(unit),
                    groupArray(formula_version),
                    groupArray(min_samples)
                )
            from {{ ref("metric_definitions") }}
        ) as definitions,
        metrics as ({{ metric_rows(families) }})
    select strategy_id, account,
    window
        ,
        metric_name,
        {{ as_of() }} as as_of,
        {% if is_live() %} as_of
        {% else %} {{ known_at() }}
        {% endif %} as known_at,
        if(lack = '' and isFinite(metrics.value), metrics.value, null) as value,
        transform(metric_name, definitions .1, definitions .2, '') as unit,
        multiIf(
            lack = 'no_watermark',
            'error',
            lack != '',
            'insufficient_data',
            isFinite(metrics.value),
            'ok',
            'error'
        ) as status,
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
        multiIf(
            lack != '',
            lack,
            status = 'error',
            'not_finite',
            caveat = '' and quality = 'stale',
            'stale_source',
            caveat
        ) as reason,
        dateDiff('millisecond', watermark, as_of) / 1000 as freshness_seconds,
        least(toDateTime64(as_of, 6, 'UTC'), mirrored_until) as watermark,
        last_event_at,
        sample_count,
        window_start,
        as_of as window_end,
        transform(
            metric_name,
            definitions .1,
            arrayMap(version -> toString(version), definitions .3),
            ''
        ) as formula_version,
        meta
    from metrics
{% endmacro %}

{# The same, rounded, with the name of the strategy. #}
{% macro api_frame(families) %}
    select
        frame.strategy_id as strategy_id,
        ifNull(strategies.strategy_name, '') as strategy_name,
        frame.account as account,
        frame.window as
    window
        ,
        frame.metric_name as metric_name,
        frame.as_of as as_of,
        {{ rounded("frame.value", "frame.metric_name") }} as value,
        frame.unit as unit,
        frame.status as status,
        frame.quality as quality,
        frame.reason as reason,
        frame.freshness_seconds as freshness_seconds,
        frame.watermark as watermark,
        frame.last_event_at as last_event_at,
        frame.sample_count as sample_count,
        frame.window_start as window_start,
        frame.window_end as window_end,
        frame.formula_version as formula_version,
        frame.meta as meta
    from ({{ metric_frames(families) }}) as frame
    left join
        (
            select strategy_id, strategy_name from {{ ref("api_strategies") }}
        ) as strategies
        on frame.strategy_id = strategies.strategy_id
{% endmacro %}
