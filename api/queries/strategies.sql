select strategy_id, strategy_name from quant.api_strategies order by strategy_name, strategy_id
