{{ config(refreshable=every_second(after=["live_scope_refresh"], tier=true), meta={"stage_before": "live_scope"}) }}
{{ materialization_target_table(ref("live_position")) }}
-- depends_on: {{ ref("live_scope_refresh") }}
-- depends_on: {{ ref("live_scope") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_market") }}
-- depends_on: {{ ref("live_holding") }}
{{ stage(scope_positions()) }}
