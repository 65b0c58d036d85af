{{ config(refreshable=after(["alert_signal_refresh"], append=false)) }}
{{ materialization_target_table(ref("alert_state")) }}
-- depends_on: {{ ref("alert_signal_refresh") }}
select *
from {{ ref("pending_alert_state") }} {{ refresh_settings() }}
