{{ config(contract={"enforced": true}) }}
-- The longest pause between two rows is that of an unchanged value, one a minute; of a
-- minute or an hour the last row is kept, so two of them are up to twice that apart.
select
    level .1 as resolution,
    level .2 as step_seconds,
    toUInt32(level .3) as kept_seconds,
    level .4 as longest_pause_seconds
from
    (
        select
            arrayJoin(
                [
                    ('full', 1, {{ var("series_full_hours") }} * 3600, 90),
                    ('minute', 60, {{ var("series_minute_days") }} * 86400, 150),
                    ('hour', 3600, {{ var("series_hour_days") }} * 86400, 7500)
                ]
            ) as level
    )
