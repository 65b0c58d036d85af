{{ config(contract={"enforced": true}) }}
select strategy_id, account,
window, metric_name, as_of, {{ rounded("value", "metric_name") }} as value, quality
from {{ ref("quant_metrics_series") }} final
