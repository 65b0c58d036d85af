{{ config(refreshable=after(["live_market_refresh"])) }}
{{ materialization_target_table(ref("live_holding")) }}
-- depends_on: {{ ref("live_market_refresh") }}
select *
from {{ ref("pending_live_holding") }} {{ refresh_settings() }}
