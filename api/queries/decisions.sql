-- From the newest to the oldest, behind the row that a page ended with.
select *
from quant.api_decisions
where
    decided_at > {since:DateTime64(6)}
    and decided_at <= {until:DateTime64(6)}
    and (decided_at, toString(decision_id)) < ({before_at:DateTime64(6)}, {before_id:String})
    and ({any_strategy:UInt8} or strategy_id = {strategy_id:String})
    and ({any_account:UInt8} or account = {account:String})
    and {symbol:String} in ('', symbol)
order by decided_at desc, toString(decision_id) desc
limit {limit:UInt32}
