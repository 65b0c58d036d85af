{{ config(refreshable=after(["live_path_refresh"])) }}
{{ materialization_target_table(ref("live_feed")) }}
-- depends_on: {{ ref("live_path_refresh") }}
select *
from {{ ref("pending_live_feed") }} {{ refresh_settings() }}
