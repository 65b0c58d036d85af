{{ config(refreshable=after(["known_state_refresh"], append=false)) }}
{{ materialization_target_table(ref("latest_light")) }}
-- depends_on: {{ ref("known_state_refresh") }}
select *
from {{ ref("light_frame") }} {{ refresh_settings() }}
