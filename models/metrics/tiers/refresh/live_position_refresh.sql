{{ config(refreshable=every_second(after=["live_scope_refresh"], tier=true), meta={"as_of_from": "live_scope"}) }}
{{ materialization_target_table(ref("live_position")) }}
-- depends_on: {{ ref("live_scope_refresh") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_market") }}
-- depends_on: {{ ref("live_scope") }}
{{ stage(scope_positions()) }}
