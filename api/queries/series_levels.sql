select * from quant.api_series_levels order by step_seconds
