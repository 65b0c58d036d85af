{{ config(refreshable=every_second(after=["live_edge_refresh"], tier=true), meta={"stage_before": "live_edge"}) }}
{{ materialization_target_table(ref("live_market")) }}
-- depends_on: {{ ref("live_edge_refresh") }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(market_rows()) }}
