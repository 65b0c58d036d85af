{{ config(contract={"enforced": true}) }}
select
    toString(policy_id) as policy_id,
    toString(subject) as subject,
    toString(signal) as signal,
    toString(strategy) as strategy,
    toString(account) as account,
    toString(window) as
window
    ,
    toString(comparison) as comparison,
    toFloat64(threshold) as threshold,
    toFloat64(clear_threshold) as clear_threshold,
    toString(severity) as severity,
    toString(category) as category,
    toString(runbook) as runbook,
    toString(description) as description
from {{ ref("alert_policy") }}
