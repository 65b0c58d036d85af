select
    snapshot_at,
    snapshot_id,
    account,
    toFloat64(equity) as equity,
    toFloat64(cash) as cash
from {{ ref("position_snapshot_fact") }} final
