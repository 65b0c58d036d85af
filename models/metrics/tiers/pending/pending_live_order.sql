{{ config(meta={"stage_before": "live_feed", "is_behind_tick": true}) }}
-- depends_on: {{ ref("known_state") }}
-- depends_on: {{ ref("live_feed") }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(scope_orders()) }}
