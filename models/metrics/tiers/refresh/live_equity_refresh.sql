{{ config(refreshable=every_second(after=["live_market_refresh"], tier=true), meta={"as_of_from": "live_market"}) }}
{{ materialization_target_table(ref("live_equity")) }}
-- depends_on: {{ ref("live_market_refresh") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_market") }}
{{ stage(equity_paths()) }}
