select * from quant.api_pipeline_health
