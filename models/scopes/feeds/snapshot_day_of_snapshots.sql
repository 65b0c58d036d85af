{{ materialization_target_table(ref("snapshot_day")) }}
select
    toStartOfDay(snapshot_at) as day_at,
    account,
    groupBitOr(bitShiftLeft(toUInt32(1), toHour(snapshot_at))) as active_hours,
    max(applied) as last_applied
from {{ ref("position_snapshot_fact") }}
group by day_at, account
