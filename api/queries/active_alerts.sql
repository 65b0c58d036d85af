select *
from quant.api_active_alerts
order by opened_at desc, alert_id
limit 1000
