select
    stage, state, status, reason, watermark, lag_seconds, allowed_lag_seconds, last_success_at, error,
    late_seconds_1h, failing_seconds_1h, quarantined_rows
from quant.api_pipeline_health
order by ordinal
