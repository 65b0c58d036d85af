{{ config(refreshable=after(["live_equity_refresh"])) }}
{{ materialization_target_table(ref("live_scope")) }}
-- depends_on: {{ ref("live_equity_refresh") }}
select *
from {{ ref("pending_live_scope") }} {{ refresh_settings() }}
