{{ config(refreshable=after(["live_coverage_refresh"], append=false)) }}
{{ materialization_target_table(ref("latest_heavy")) }}
-- depends_on: {{ ref("live_coverage_refresh") }}
select *
from {{ ref("heavy_frame") }} {{ refresh_settings() }}
