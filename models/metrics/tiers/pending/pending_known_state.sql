{{ config(meta={"stage_before": "live_flow"}) }}
-- depends_on: {{ ref("live_flow") }}
-- depends_on: {{ ref("live_position") }}
-- depends_on: {{ ref("live_scope") }}
with
    -- When the last run began of what is taken in beside the tick; of what never ran
    -- since a start nothing is known.
    (
        select
            if(
                countIf(last_success_time is null) = 0,
                min(
                    toDateTime64(assumeNotNull(last_success_time), 3, 'UTC')
                    - toIntervalMillisecond(ifNull(last_success_duration_ms, 0))
                ),
                toDateTime64(0, 3, 'UTC')
            )
        from system.view_refreshes
        where
            database = '{{ target.schema }}'
            and view in ({{ quoted_list(views_beside_the_tick()) }})
    ) as begun_at,
    -- The facts of a tick were there before the next one began.
    (
        select (max(watermark), count())
        from {{ ref("known_state") }}
        where
            as_of
            < (select max(as_of) from {{ ref("known_state") }} where as_of <= begun_at)
    ) as read_until
select
    {{ as_of() }} as as_of,
    (
        select max(snapshots) from {{ ref("live_scope") }} where as_of = {{ as_of() }}
    ) as snapshots,
    (
        select max(ledger) from {{ ref("live_position") }} where as_of = {{ as_of() }}
    ) as ledger,
    (
        select max(trade_revision)
        from {{ ref("live_flow") }}
        where as_of = {{ as_of() }}
    ) as trades,
    (select watermark from {{ ref("stg_mirror__progress") }}) as watermark,
    -- Before the first of these runs is told from, what usually holds. Ten seconds of
    -- grace for what is committed later than it says that it happened.
    greatest(
        (select max(settled) from {{ ref("known_state") }}),
        if(
            read_until .2 = 0,
            {{ as_of() }} - interval 20 second,
            least(
                {{ as_of() }} - interval 20 second,
                toDateTime64(assumeNotNull(read_until .1), 3, 'UTC')
                - interval 10 second
            )
        )
    ) as settled,
    -- Not 1970, which rows of earlier versions have.
    greatest(
        (
            select max(known_until)
            from {{ ref("strategy_minute") }}
            where strategy_id = '' and grid_at = toDateTime(0, 'UTC')
        ),
        toDateTime(1, 'UTC')
    ) as valued_until,
    toUInt32(greatest(0, dateDiff('millisecond', as_of, now64(3)))) as taken_ms
from system.one
where as_of > (select max(as_of) from {{ ref("known_state") }})
