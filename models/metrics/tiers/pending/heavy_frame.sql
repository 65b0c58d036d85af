{{ config(meta={"stage_before": "live_coverage", "is_behind_tick": true}) }}
-- depends_on: {{ ref("known_state") }}
-- depends_on: {{ ref("live_path") }}
-- depends_on: {{ ref("live_coverage") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_scope") }}
{{ tier_frame("heavy", ref("latest_heavy")) }}
