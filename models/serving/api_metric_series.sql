{{ config(contract={"enforced": true}) }}
select strategy_id, account,
window
    ,
    metric_name,
    as_of,
    {{ rounded("value", "metric_name") }} as value,
    unit,
    status,
    quality,
    reason,
    freshness_seconds,
    watermark,
    last_event_at,
    sample_count,
    window_start,
    window_end,
    formula_version,
    meta
from {{ ref("quant_metrics_series") }} final
