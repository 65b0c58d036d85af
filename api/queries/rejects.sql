select
    reject_kind as kind, reject_class, reason, count() as rejects, max(rejected_at) as last_at
from quant.api_rejects
where
    rejected_at > {since:DateTime64(3)}
    and rejected_at <= {until:DateTime64(3)}
    and ({any_strategy:UInt8} or strategy_id = {strategy_id:String})
    and ({any_account:UInt8} or account = {account:String})
group by all
order by rejects desc, last_at desc
limit 50
