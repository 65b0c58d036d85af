select *
from quant.api_alerts
where state != 'resolved'
order by opened_at desc, alert_id
limit 1000
