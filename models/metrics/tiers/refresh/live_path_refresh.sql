{{ config(refreshable=every(medium_seconds(), behind=medium_seconds() // 2)) }}
{{ materialization_target_table(ref("live_path")) }}
select *
from {{ ref("pending_live_path") }} {{ refresh_settings() }}
