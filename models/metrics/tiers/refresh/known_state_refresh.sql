{{ config(refreshable=after(["live_flow_refresh"])) }}
{{ materialization_target_table(ref("known_state")) }}
-- depends_on: {{ ref("live_flow_refresh") }}
select *
from {{ ref("pending_known_state") }} {{ refresh_settings() }}
