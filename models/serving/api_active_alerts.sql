-- depends_on: {{ ref("quant_alerts") }}
-- depends_on: {{ ref("alert_action") }}
-- depends_on: {{ ref("api_strategies") }}
-- By what the last evaluation left open: the episodes of years are not gone through.
select *
from
    (
        {{ alert_episodes("alert_id in (select alert_id from " ~ ref("alert_state") ~ " where notEmpty(alert_id))") }}
    )
where state != 'resolved'
