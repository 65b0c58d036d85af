with
    (
        select max(watermark) from {{ source("torghut_raw", "mirror_checkpoint") }}
    ) as mirrored_until,
    views as (
        select view, last_success_time, exception
        from system.view_refreshes
        where database = '{{ target.schema }}'
    ),
    stages as (
        {%- set views = views_of_stages() %}
        {%- for stage, names, every_seconds in [
            ("facts", views.facts + views.quarantine, tier_seconds()),
            ("ledger", views.ledger + views.snapshots + views.upkeep, tier_seconds()),
            ("light_tier", views.before_positions + views.from_positions, tier_seconds()),
            ("medium_tier", views.medium, medium_seconds()),
            ("heavy_tier", views.heavy, heavy_seconds()),
            ("series", views.series, heavy_seconds()),
        ] %}
            select
                '{{ stage }}' as stage,
                {{ loop.index + 1 }} as ordinal,
                view,
                -- What runs every half minute is that much older before it is late.
                {{ maximum_staleness_seconds() }}
                + {{ every_seconds }} as allowed_seconds
            from views
            where view in ({{ quoted_list(names) }}) {{ "union all" if not loop.last }}
        {%- endfor %}
    ),
    mirrors as (
        select
            *,
            endsWith(slot, ':follower') as is_follower,
            -- It reports every five seconds, and while it copies once per table.
            state != 'stopped'
            and updated_at
            < now64(6)
            - toIntervalSecond(if(state = 'snapshotting', 900, 30)) as is_silent
        from {{ source("torghut_raw", "mirror_status") }} final
        order by slot
    ),
    -- As of the mirror's last report: one that stands still does not make the source
    -- silent.
    sources as (
        select
            'source' as stage,
            toUInt8(0) as ordinal,
            max(source_heard_at) as watermark,
            dateDiff('millisecond', watermark, max(updated_at)) / 1000 as lag_seconds,
            toFloat64({{ maximum_staleness_seconds() }}) as allowed_lag_seconds,
            watermark as last_success_at,
            lag_seconds as age_seconds,
            '' as error,
            multiIf(
                max(updated_at) = max(if(is_silent, updated_at, null)),
                'unknown',
                lag_seconds > allowed_lag_seconds,
                'silent',
                (
                    select min(recorded_at)
                    from {{ source("torghut_raw", "mirror_checkpoint") }}
                    where
                        applied = (
                            select max(applied)
                            from {{ source("torghut_raw", "mirror_checkpoint") }}
                        )
                )
                < now64(6) - interval 1 minute,
                'idle',
                'writing'
            ) as state
        from mirrors
        where not is_follower
        -- A feed that is not our mirror does not tell.
        having watermark is not null
    ),
    mirroring as (
        select
            'mirror' as stage,
            toUInt8(1) as ordinal,
            mirrored_until as watermark,
            dateDiff('millisecond', mirrored_until, now64(6)) / 1000 as lag_seconds,
            toFloat64({{ maximum_staleness_seconds() }}) as allowed_lag_seconds,
            toNullable(max(updated_at)) as last_success_at,
            dateDiff('millisecond', last_success_at, now64(6)) / 1000 as age_seconds,
            arrayStringConcat(
                groupArrayIf(
                    multiIf(
                        is_silent,
                        'the mirror does not report; is it running?',
                        detail != '',
                        detail,
                        'the mirror is stopped'
                    ),
                    not is_follower
                    and (is_silent or mirrors.state in ('stalled', 'stopped'))
                ),
                '; '
            ) as error,
            -- The mirror that holds the slot, then the one that waits to take over.
            arrayStringConcat(
                groupArrayIf(
                    if(is_silent, 'silent', toString(mirrors.state)),
                    not (is_follower and (is_silent or mirrors.state != 'follower'))
                ),
                '; '
            ) as state
        from mirrors
    ),
    refreshing as (
        select
            stage,
            toUInt8(any(ordinal)) as ordinal,
            least(last_success_at, mirrored_until) as watermark,
            dateDiff('millisecond', watermark, now64(6)) / 1000 as lag_seconds,
            toFloat64(any(allowed_seconds)) as allowed_lag_seconds,
            -- A stage has seen what was mirrored when its slowest view last
            -- succeeded; the quarantine and the upkeep of the ledger look less often,
            -- nothing waits for them.
            toNullable(
                toDateTime64(
                    minIf(
                        last_success_time,
                        view not in (
                            {{ quoted_list(views_of_stages().quarantine + views_of_stages().upkeep) }}
                        )
                    ),
                    6,
                    'UTC'
                )
            ) as last_success_at,
            dateDiff('millisecond', last_success_at, now64(6)) / 1000 as age_seconds,
            arrayStringConcat(groupArrayIf(exception, exception != ''), '; ') as error,
            if(error = '', 'running', 'failing') as state
        from stages
        inner join views on stages.view = views.view
        group by stage
    ),
    -- The replica that reported last: those that were replaced are silent for good.
    serving as (
        select
            'serving' as stage,
            toUInt8(8) as ordinal,
            least(last_success_at, mirrored_until) as watermark,
            dateDiff('millisecond', watermark, now64(6)) / 1000 as lag_seconds,
            toFloat64({{ maximum_staleness_seconds() }}) as allowed_lag_seconds,
            toNullable(max(reported_at)) as last_success_at,
            dateDiff('millisecond', last_success_at, now64(6)) / 1000 as age_seconds,
            toString(argMax(serving_report.error, reported_at)) as error,
            multiIf(
                age_seconds > allowed_lag_seconds,
                'silent',
                error = '',
                'running',
                'failing'
            ) as state
        from {{ ref("serving_report") }} as serving_report final
        having count() > 0
    ),
    found as (
        select *
        from sources
        union all
        select *
        from mirroring
        union all
        select *
        from refreshing
        union all
        select *
        from serving
    )
select
    *,
    multiIf(
        error != '',
        'failing',
        lag_seconds is null,
        'unknown',
        lag_seconds > allowed_lag_seconds,
        'late',
        'ok'
    ) as status,
    -- Broken, standing still, behind because of what comes before it, or idle.
    multiIf(
        status = 'failing',
        if(state in ('silent', 'stalled', 'stopped'), state, 'error'),
        status = 'unknown',
        'never_ran',
        state = 'silent',
        'silent',
        status = 'ok',
        if(state in ('idle', 'unknown'), state, ''),
        stage not in ('source', 'mirror') and age_seconds <= allowed_lag_seconds,
        'upstream_late',
        'stale'
    ) as reason
from found
