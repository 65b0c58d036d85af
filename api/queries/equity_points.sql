select snapshot_at as at, toString(snapshot_id) as id, account, equity, cash
from quant.api_equity
where
    ({any_account:UInt8} or account = {account:String})
    -- Sorted by the hour.
    and toStartOfHour(snapshot_at) >= toStartOfHour({since:DateTime64(6)})
    and toStartOfHour(snapshot_at) <= toStartOfHour({until:DateTime64(6)})
    and snapshot_at > {since:DateTime64(6)}
    and snapshot_at <= {until:DateTime64(6)}
    and (snapshot_at, toString(snapshot_id)) < ({before_at:DateTime64(6)}, {before_id:String})
order by snapshot_at desc, toString(snapshot_id) desc
limit {limit:UInt32}
