with
    -- Up to which revision of the hours' sums the flips are here.
    (
        select max(revision)
        from {{ ref("holding_hour") }}
        where hour_at = toDateTime(0, 'UTC') and account = ''
    ) as done,
    -- The positions behind the hours, beside which the flips are read, go first.
    (
        select
            (
                max(revision),
                argMax(ledger_revision, revision),
                toDateTime(argMax(traded_at, revision), 'UTC')
            )
        from {{ ref("position_hour") }}
        where hour_at = toDateTime(0, 'UTC') and account = ''
    ) as rolled,
    (
        select groupUniqArray(hour_at)
        from {{ ref("strategy_hour") }}
        where revision > done and revision <= rolled .1 and account != ''
    ) as touched,
    versions as (
        select
            toStartOfHour(executed_at) as hour_at,
            account,
            strategy_id,
            symbol,
            argMin(position_before != 0, (executed_at, sequence, fill_id)) as was_open,
            groupBitXor(
                bitShiftLeft(toUInt64(1), {{ minute_behind("executed_at") }})
            ) as flip_minutes,
            1 as is_current
        from {{ ref("position_ledger") }} final
        where
            toStartOfHour(executed_at) in (select arrayJoin(touched))
            and {{ is_flip() }}
        group by hour_at, account, strategy_id, symbol
        -- What opened and closed between two minutes is seen at none.
        having flip_minutes != 0
        union all
        -- What is there and may be gone.
        select
            hour_at,
            account,
            strategy_id,
            symbol,
            0 as was_open,
            0 as flip_minutes,
            0 as is_current
        from {{ ref("holding_hour") }} final
        where hour_at in (select arrayJoin(touched)) and account != ''
    )
select
    hour_at,
    account,
    strategy_id,
    symbol,
    max(versions.was_open) as was_open,
    max(versions.flip_minutes) as flip_minutes,
    rolled .3 as known_until,
    rolled .2 as ledger_revision,
    1 - max(is_current) as is_deleted,
    rolled .1 as revision
from
    (
        select *
        from versions
        union all
        -- The cursor: a row that no reader sees.
        select
            toDateTime(0, 'UTC') as hour_at,
            '' as account,
            '' as strategy_id,
            '' as symbol,
            0 as was_open,
            0 as flip_minutes,
            0 as is_current
        from system.one
        where rolled .1 != done
    ) as versions
group by hour_at, account, strategy_id, symbol
