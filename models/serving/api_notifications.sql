{{ config(contract={"enforced": true}) }}
select channel, cast(notification.outcome as String) as outcome, count() as alerts
from {{ ref("alert_notification") }} as notification
where notified_at > now64(3) - interval 1 day and notEmpty(alert_id)
group by channel, notification.outcome
