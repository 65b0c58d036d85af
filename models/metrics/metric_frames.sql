{%- set formulas -%}
arrayConcat({{ performance_formulas() }}, {{ risk_formulas() }}, {{ trade_formulas() }}, {{ exposure_formulas() }})
{%- endset -%}
with
    (select watermark from {{ ref("stg_mirror__progress") }}) as mirrored_until,
    (
        select (groupArray(metric_name), groupArray(unit), groupArray(formula_version))
        from {{ ref("metric_definitions") }}
    ) as definitions,
    metrics as ({{ metric_rows(formulas) }})
select
    strategy_id,
    account,
    window,
    metric_name,
    as_of,
    value,
    transform(metric_name, definitions.1, definitions.2, '') as unit,
    status,
    -- Completeness decides: how far the mirror is behind, not how long ago something happened.
    multiIf(
        status != 'ok', status,
        not is_open, 'closed',
        freshness_seconds > {{ maximum_staleness_seconds() }}, 'stale',
        'good'
    ) as quality,
    reason,
    dateDiff('millisecond', watermark, as_of) / 1000 as freshness_seconds,
    least(toDateTime64(as_of, 6, 'UTC'), mirrored_until) as watermark,
    last_event_at,
    sample_count,
    window_start,
    window_end,
    transform(metric_name, definitions.1, arrayMap(version -> toString(version), definitions.3), '') as formula_version,
    meta
from metrics
