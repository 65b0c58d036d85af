{{ config(refreshable=after(["live_trade_refresh"], append=false)) }}
{{ materialization_target_table(ref("quant_metrics_latest")) }}
-- depends_on: {{ ref("live_trade_refresh") }}
select *
from {{ ref("live_frame") }} {{ refresh_settings() }}
