-- From the newest to the oldest, behind the row that a page ended with.
select *
from quant.api_executions
where
    toStartOfHour(executed_at) >= toStartOfHour({since:DateTime64(6)})
    and toStartOfHour(executed_at) <= toStartOfHour({until:DateTime64(6)})
    and executed_at > {since:DateTime64(6)}
    and executed_at <= {until:DateTime64(6)}
    and (executed_at, toString(fill_id)) < ({before_at:DateTime64(6)}, {before_id:String})
    and ({any_strategy:UInt8} or strategy_id = {strategy_id:String})
    and ({any_account:UInt8} or account = {account:String})
    and {symbol:String} in ('', symbol)
order by executed_at desc, toString(fill_id) desc
limit {limit:UInt32}
