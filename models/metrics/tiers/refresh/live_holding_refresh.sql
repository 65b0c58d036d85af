{{ config(refreshable=every_second(after=["live_market_refresh", "position_snapshot_fact_refresh"], tier=true)) }}
{{ materialization_target_table(ref("live_holding")) }}
-- depends_on: {{ ref("live_market_refresh") }}
-- depends_on: {{ ref("position_snapshot_fact_refresh") }}
select *
from {{ ref("pending_live_holding") }}
