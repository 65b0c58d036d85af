{{ config(meta={"stage_before": "known_state", "is_behind_tick": true}) }}
-- depends_on: {{ ref("known_state") }}
-- depends_on: {{ ref("live_flow") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_scope") }}
{{ stage(scope_paths()) }}
