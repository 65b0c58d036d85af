{{ config(refreshable=every(heavy_seconds())) }}
{{ materialization_target_table(ref("live_coverage")) }}
select *
from {{ ref("pending_live_coverage") }} {{ refresh_settings() }}
