with
    -- Up to which revision of the hours' sums the days are here.
    (
        select max(revision)
        from {{ ref("strategy_day") }}
        where day_at = toDateTime(0, 'UTC') and account = ''
    ) as done,
    (
        select
            (
                max(revision),
                argMax(ledger_revision, revision),
                argMax(last_fill_at, revision)
            )
        from {{ ref("strategy_hour") }}
        where hour_at = toDateTime(0, 'UTC') and account = ''
    ) as rolled,
    (
        select groupUniqArray(toStartOfDay(hour_at))
        from {{ ref("strategy_hour") }}
        where revision > done and revision <= rolled .1 and account != ''
    ) as touched,
    versions as (
        select
            toStartOfDay(hour_at) as day_at,
            account,
            strategy_id,
            groupBitOr(bitShiftLeft(toUInt32(1), toHour(hour_at))) as active_hours,
            max(hour.last_fill_at) as last_fill_at
        from {{ ref("strategy_hour") }} as hour final
        where toStartOfDay(hour_at) in (select arrayJoin(touched)) and account != ''
        group by day_at, account, strategy_id
        union all
        -- What is there and may be gone.
        select
            day_at,
            account,
            strategy_id,
            0 as active_hours,
            toDateTime64(0, 6, 'UTC') as last_fill_at
        from {{ ref("strategy_day") }} final
        where day_at in (select arrayJoin(touched)) and account != ''
        union all
        -- The cursor: a row that no reader sees.
        select
            toDateTime(0, 'UTC') as day_at,
            '' as account,
            '' as strategy_id,
            0 as active_hours,
            rolled .3 as last_fill_at
        from system.one
        where rolled .1 != done
    )
select
    day_at,
    account,
    strategy_id,
    max(versions.active_hours) as active_hours,
    max(versions.last_fill_at) as last_fill_at,
    rolled .2 as ledger_revision,
    toUInt8(max(versions.active_hours) = 0) as is_deleted,
    rolled .1 as revision
from versions
group by day_at, account, strategy_id
