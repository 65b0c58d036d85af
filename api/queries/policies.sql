select * from quant.api_alert_policies order by policy_id
