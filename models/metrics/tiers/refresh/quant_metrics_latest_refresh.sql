{{ config(refreshable=every_second(after=["live_trade_refresh"], append=false, tier=true)) }}
{{ materialization_target_table(ref("quant_metrics_latest")) }}
-- depends_on: {{ ref("live_trade_refresh") }}
select *
from {{ ref("live_frame") }}
