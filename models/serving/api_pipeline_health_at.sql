{{ config(contract={"enforced": true}) }}
select
    sampled_at,
    stage,
    ordinal,
    watermark,
    lag_seconds,
    allowed_lag_seconds,
    last_success_at,
    error,
    state,
    status,
    reason
from {{ ref("pipeline_health_sample") }}
