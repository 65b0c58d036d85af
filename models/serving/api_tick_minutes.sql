{{ config(contract={"enforced": true}) }}
-- A tick that is late stands in the minute in which it came.
with
    ticks as (
        select
            as_of,
            dateDiff(
                'millisecond',
                lagInFrame(as_of, 1, as_of) over (
                    order by as_of rows between 1 preceding and current row
                ),
                as_of
            )
            / 1000 as pause_seconds
        from {{ ref("known_state") }} final
        where as_of > now64(3) - interval 61 minute
    )
select
    toStartOfMinute(toDateTime(as_of, 'UTC')) as minute_at,
    count() as ticks,
    toFloat64(60 / {{ tier_seconds() }}) as due_ticks,
    greatest(due_ticks - ticks, 0) as dropped_ticks,
    max(pause_seconds) as longest_pause_seconds
from ticks
where minute_at < toStartOfMinute(now('UTC'))
group by minute_at
