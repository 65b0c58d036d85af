select * from quant.api_tick_minutes order by minute_at
