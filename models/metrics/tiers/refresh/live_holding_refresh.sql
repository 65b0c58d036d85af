{{ config(refreshable=every_second(after=["live_market_refresh"], tier=true), meta={"stage_before": "live_market"}) }}
{{ materialization_target_table(ref("live_holding")) }}
-- depends_on: {{ ref("live_market_refresh") }}
-- depends_on: {{ ref("live_market") }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(snapshot_marks()) }}
