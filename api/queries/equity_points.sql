select snapshot_at as at, account, equity, cash
from quant.api_equity
where
    ({any_account:UInt8} or account = {account:String})
    and snapshot_at > {since:DateTime64(6)}
    and snapshot_at <= {until:DateTime64(6)}
    and snapshot_at < {before_at:DateTime64(6)}
order by snapshot_at desc
limit {limit:UInt32}
