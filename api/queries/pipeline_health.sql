select stage, state, watermark, lag_seconds, allowed_lag_seconds, last_success_at, error, quarantined_rows
from quant.api_pipeline_health
order by ordinal
