select * from quant.api_alerts where alert_id = {alert_id:String}
