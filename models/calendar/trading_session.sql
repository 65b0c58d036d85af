{{ config(engine="MergeTree", order_by="(calendar, opens_at)") }}
select
    toString(calendar) as calendar,
    toDate32(session_date) as session_date,
    toDateTime64(opens_at, 3, 'UTC') as opens_at,
    toDateTime64(closes_at, 3, 'UTC') as closes_at,
    toInt64(seconds_before) * 1000 as ms_before
from {{ ref("trading_sessions") }}
union all
-- Continuous markets: a session per UTC day from 2000 to 2050.
select
    '24/7' as calendar,
    toDate32('2000-01-01') + number as session_date,
    toDateTime64(session_date, 3, 'UTC') as opens_at,
    toDateTime64(session_date + 1, 3, 'UTC') as closes_at,
    toInt64(number) * 86400000 as ms_before
from numbers(18628)
