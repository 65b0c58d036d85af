{{ config(refreshable=after(["live_position_refresh"])) }}
{{ materialization_target_table(ref("live_flow")) }}
-- depends_on: {{ ref("live_position_refresh") }}
select *
from {{ ref("pending_live_flow") }} {{ refresh_settings() }}
