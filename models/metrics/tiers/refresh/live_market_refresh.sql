{{ config(refreshable=after(["live_edge_refresh"])) }}
{{ materialization_target_table(ref("live_market")) }}
-- depends_on: {{ ref("live_edge_refresh") }}
select *
from {{ ref("pending_live_market") }} {{ refresh_settings() }}
