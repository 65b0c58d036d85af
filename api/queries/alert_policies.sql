select policy_id
from quant.alert_policies
order by policy_id
