select symbol, last_signal_at, age_seconds from quant.api_symbol_feeds order by age_seconds desc, symbol
