{{ config(meta={"stage_before": "live_flow"}) }}
-- depends_on: {{ ref("known_state") }}
-- depends_on: {{ ref("live_flow") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_scope") }}
-- depends_on: {{ ref("live_position") }}
{{ tier_frame("light", ref("latest_light")) }}
