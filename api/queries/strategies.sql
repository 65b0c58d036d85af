select strategy_id, strategy_name, is_enabled, base_timeframe
from quant.api_strategies
order by strategy_name, strategy_id
