{{ config(meta={"stage_before": "live_edge"}) }}
-- depends_on: {{ ref("live_edge") }}
{{ stage(market_rows()) }}
