{{ config(meta={"stage_before": "live_holding"}) }}
-- depends_on: {{ ref("live_holding") }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(equity_paths()) }}
