with
    latest as (select * from {{ ref("quant_metrics_latest") }}),
    opened as (
        select account, max(is_open) as is_open
        from {{ ref("live_edge") }} final
        where as_of = (select max(as_of) from {{ ref("live_edge") }})
        group by account
    ),
    metrics as (
        select
            'metric' as subject,
            toString(latest.metric_name) as signal,
            toString(latest.strategy_id) as strategy_id,
            toString(latest.account) as account,
            toString(latest.window) as
        window
            ,
            latest.as_of as as_of,
            latest.value as value,
            toString(latest.reason) as reason,
            -- The desk is open while any account is.
            if(
                latest.account = '', (select max(is_open) from opened), opened.is_open
            ) as is_open,
            {{ alert_seen("latest") }} as seen
        from latest
        left join opened on latest.account = opened.account
        where
            (latest.metric_name, latest.window) in (
                select signal,
                window
                from {{ ref("alert_policy") }}
                where subject = 'metric'
            )
    ),
    stages as (
        select
            'health' as subject,
            if(
                stage = 'mirror',
                'metrics_pipeline_lag_seconds',
                stage || '_age_seconds'
            ) as signal,
            '' as strategy_id,
            '' as account,
            '' as
        window
            ,
            now64(3, 'UTC') as as_of,
            -- By itself, not by what came before it: the stage that stands still is
            -- the one that is told.
            if(stage = 'mirror', lag_seconds, age_seconds) as value,
            if(value is null, 'never_ran', state) as reason,
            (select max(is_open) from opened) as is_open,
            toUInt64(toUnixTimestamp64Milli(as_of)) as seen
        from {{ ref("quant_pipeline_health") }}
    ),
    feed as (
        select
            'health' as subject,
            'ta_freshness_seconds' as signal,
            '' as strategy_id,
            '' as account,
            '' as
        window
            ,
            max(latest.as_of) as as_of,
            maxOrNull(latest.value) as value,
            if(value is null, 'no_source_rows', '') as reason,
            toUInt8(count() > 0) as is_open,
            toUInt64(toUnixTimestamp64Milli(as_of)) as seen
        from latest
        inner join opened on latest.account = opened.account
        where
            latest.metric_name = 'ta_freshness_seconds'
            and latest.strategy_id = ''
            and latest.window = '1m'
            and opened.is_open
    ),
    silence as (
        select
            'health' as subject,
            'minutes_without_data' as signal,
            '' as strategy_id,
            toString(latest.account) as account,
            '' as
        window
            ,
            now64(3, 'UTC') as as_of,
            toNullable(
                if(
                    ifNull(max(latest.last_event_at), toDateTime64(0, 6, 'UTC'))
                    < any(session.opened_at),
                    dateDiff('second', any(session.opened_at), as_of) / 60,
                    0
                )
            ) as value,
            '' as reason,
            max(opened.is_open) as is_open,
            toUInt64(toUnixTimestamp64Milli(as_of)) as seen
        from latest
        inner join opened on latest.account = opened.account
        inner join
            (
                select calendar, max(opens_at) as opened_at
                from {{ ref("trading_session") }}
                where opens_at <= now64(3)
                group by calendar
            ) as session
            on {{ calendar_of("latest.account") }} = session.calendar
        where latest.strategy_id = '' and latest.account != ''
        group by latest.account
    ),
    -- One alert for each severity: which checks fail is in quality_gate. Of stages and
    -- feeds, policies of their own tell.
    gates as (
        select
            'health' as subject,
            severity || '_gates' as signal,
            '' as strategy_id,
            '' as account,
            '' as
        window
            ,
            now64(3, 'UTC') as as_of,
            toNullable(toFloat64(countIf(quality_gate.status = severity))) as value,
            '' as reason,
            toUInt8(1) as is_open,
            toUInt64(toUnixTimestamp64Milli(as_of)) as seen
        from (select arrayJoin(['error', 'warn']) as severity) as severities
        cross join
            (
                select toString(status) as status
                from {{ ref("quality_gate") }} final
                where gate not in ('is_fresh', 'feeds_arrive')
                union all
                select 'none'
            ) as quality_gate
        group by severity
    )
select *
from metrics
union all
select *
from stages
union all
select *
from feed
union all
select *
from silence
union all
select *
from gates
