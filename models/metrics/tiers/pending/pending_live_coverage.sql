{{ config(meta={"stage_before": "live_path", "is_behind_tick": true}) }}
-- depends_on: {{ ref("known_state") }}
-- depends_on: {{ ref("live_path") }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(scope_coverage()) }}
