-- What was looked at longer before says nothing of the moment.
select stage, state, status, reason, watermark, lag_seconds, allowed_lag_seconds, last_success_at, error
from quant.api_pipeline_health_at
where sampled_at <= {as_of:DateTime64(3)} and sampled_at > {as_of:DateTime64(3)} - interval 1 minute
order by ordinal, sampled_at desc
limit 1 by stage
