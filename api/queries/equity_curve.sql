select *
from quant.api_equity_curve(
    since = {since:DateTime64(3)},
    until = {until:DateTime64(3)},
    step = {step:UInt32},
    strategy_id = {strategy_id:String},
    account = {account:String}
)
order by at
