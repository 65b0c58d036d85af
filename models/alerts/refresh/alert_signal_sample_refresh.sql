{{ config(refreshable=after(["alert_signal_refresh"])) }}
{{ materialization_target_table(ref("alert_signal_sample")) }}
-- depends_on: {{ ref("alert_signal_refresh") }}
-- Of signals that each account has, one a minute: a desk of 200 accounts had 3.5
-- million
-- rows a day.
select signal, account, as_of, value, reason, is_open
from {{ ref("alert_signal") }}
where
    subject = 'health'
    and (
        account = '' or toSecond(as_of) < {{ medium_seconds() }}
    ) {{ refresh_settings() }}
