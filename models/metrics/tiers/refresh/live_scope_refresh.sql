{{ config(refreshable=after(["live_holding_refresh"])) }}
{{ materialization_target_table(ref("live_scope")) }}
-- depends_on: {{ ref("live_holding_refresh") }}
select *
from {{ ref("pending_live_scope") }} {{ refresh_settings() }}
