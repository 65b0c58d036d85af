{{ config(refreshable=every_second(after=["live_edge_refresh"], tier=true)) }}
{{ materialization_target_table(ref("live_market")) }}
-- depends_on: {{ ref("live_edge_refresh") }}
select *
from {{ ref("pending_live_market") }}
