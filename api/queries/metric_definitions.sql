select * from quant.api_metric_definitions order by metric_name
