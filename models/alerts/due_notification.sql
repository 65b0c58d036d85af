-- depends_on: {{ ref("quant_alerts") }}
-- depends_on: {{ ref("alert_action") }}
-- depends_on: {{ ref("api_strategies") }}
{%- set newest -%}
transition_at > now64(3) - interval 7 day
or alert_id in (select alert_id from {{ ref("alert_state") }} where notEmpty(alert_id))
{%- endset %}
with
    notifications as (
        select *
        from {{ ref("alert_notification") }}
        where channel = {channel:String} and outcome = 'sent'
    ),
    -- What was over before the channel was there is not told.
    (select min(notified_at) from notifications where event = 'begin') as began_at,
    told as (
        select
            alert_id,
            maxIf(notified_at, event in ('open', 'repeat')) as told_at,
            countIf(event = 'resolved') > 0 as is_end_told
        from notifications
        where notEmpty(alert_id)
        group by alert_id
    ),
    episodes as ({{ alert_episodes(newest) }}),
    judged as (
        select
            episodes.*,
            told.told_at > toDateTime64(0, 3, 'UTC') as is_told,
            ifNull(silenced_until > now64(3), false) as is_silent,
            multiIf(
                state = 'resolved',
                if(
                    not told.is_end_told
                    and (is_told or (opened_at >= began_at and not is_silent)),
                    'resolved',
                    ''
                ),
                is_silent,
                '',
                not is_told,
                'open',
                acknowledged_by = ''
                and told.told_at < now64(3) - toIntervalSecond({repeat_seconds:UInt32}),
                'repeat',
                ''
            ) as event
        from episodes
        left join told on episodes.alert_id = told.alert_id
    )
select *
from judged
where notEmpty(event) and has({severities:Array(String)}, severity)
