select * from quant.api_metric_frame(as_of = {as_of:DateTime64(3)})
where strategy_id = {strategy_id:String} and account = {account:String} and window = {window:String}
order by metric_name
