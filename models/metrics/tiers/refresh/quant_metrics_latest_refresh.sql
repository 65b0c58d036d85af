{{ config(refreshable=after(["live_flow_refresh"], append=false)) }}
{{ materialization_target_table(ref("quant_metrics_latest")) }}
-- depends_on: {{ ref("live_flow_refresh") }}
select *
from {{ ref("live_frame") }} {{ refresh_settings() }}
