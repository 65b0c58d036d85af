select * from quant.api_metric_frames_latest
where strategy_id = {strategy_id:String} and account = {account:String} and window = {window:String}
order by metric_name
