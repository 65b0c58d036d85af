{{ config(contract={"enforced": true}) }}
-- The last minutes are read from the source: symbol_hour follows every ten seconds.
select
    symbol,
    toDateTime64(max(at), 3, 'UTC') as last_signal_at,
    dateDiff('millisecond', last_signal_at, now64(3)) / 1000 as age_seconds
from
    (
        select
            cast(symbol as String) as symbol,
            cast(last_signal_at as DateTime64(3, 'UTC')) as at
        from {{ ref("symbol_hour") }}
        where hour_at > now('UTC') - interval 7 day and symbol != ''
        union all
        select cast(symbol as String) as symbol, signal_at as at
        from {{ ref("stg_torghut__ta_signals") }}
        where
            toStartOfMinute(signal_at) in (
                select
                    toStartOfMinute(now('UTC')) - toIntervalMinute(arrayJoin(range(3)))
            )
    )
group by symbol
