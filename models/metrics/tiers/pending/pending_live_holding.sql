{{ config(meta={"stage_before": "live_market"}) }}
-- depends_on: {{ ref("live_market") }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(snapshot_marks()) }}
