{{ config(refreshable=every_second(after=["live_position_refresh"], tier=true), meta={"stage_before": "live_position"}) }}
{{ materialization_target_table(ref("live_trade")) }}
-- depends_on: {{ ref("live_position_refresh") }}
-- depends_on: {{ ref("live_position") }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(scope_trades()) }}
