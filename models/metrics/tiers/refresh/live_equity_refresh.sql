{{ config(refreshable=every_second(after=["live_holding_refresh"], tier=true), meta={"stage_before": "live_holding"}) }}
{{ materialization_target_table(ref("live_equity")) }}
-- depends_on: {{ ref("live_holding_refresh") }}
-- depends_on: {{ ref("live_holding") }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(equity_paths()) }}
