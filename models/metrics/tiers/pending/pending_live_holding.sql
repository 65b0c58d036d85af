{{ config(meta={"stage_before": "live_market"}) }}
-- depends_on: {{ ref("live_market") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("snapshot_day") }}
{{ stage(snapshot_marks()) }}
