{{ config(meta={"stage_before": "live_order", "is_behind_tick": true}) }}
-- depends_on: {{ ref("known_state") }}
-- depends_on: {{ ref("live_path") }}
-- depends_on: {{ ref("live_feed") }}
-- depends_on: {{ ref("live_order") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_scope") }}
-- depends_on: {{ ref("live_flow") }}
{{ tier_frame("medium", ref("latest_medium")) }}
