select *
from quant.api_profit_trends(
    since = {since:DateTime64(3)}, until = {until:DateTime64(3)}, step = {step:UInt32}
)
order by strategy_id, account, point_at
