{{ config(meta={"stage_before": "live_position"}) }}
-- depends_on: {{ ref("live_position") }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(scope_flows()) }}
