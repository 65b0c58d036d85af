-- A row has a finite value and the status ok, or no value and a reason.
select strategy_id, account,
window, metric_name, value, status, reason
from {{ ref("quant_metrics_latest") }}
where
    (status = 'ok') != (value is not null)
    or not isFinite(ifNull(value, 0))
    or (value is null and reason = '')
