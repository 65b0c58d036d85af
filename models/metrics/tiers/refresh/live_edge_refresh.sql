{{ config(refreshable=every_second(tier=true)) }}
{{ materialization_target_table(ref("live_edge")) }}
select *
from {{ ref("pending_live_edge") }} {{ refresh_settings() }}
