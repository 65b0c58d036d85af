select *
from quant.api_execution_costs(
    since = {since:DateTime64(3)},
    until = {until:DateTime64(3)},
    bucket = {bucket:UInt32},
    strategy_id = {strategy_id:String},
    any_strategy = {any_strategy:UInt8},
    account = {account:String},
    any_account = {any_account:UInt8}
)
order by dimension, part_name
limit 2000
