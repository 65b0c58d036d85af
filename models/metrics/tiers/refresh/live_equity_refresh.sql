{{ config(refreshable=after(["live_holding_refresh"])) }}
{{ materialization_target_table(ref("live_equity")) }}
-- depends_on: {{ ref("live_holding_refresh") }}
select *
from {{ ref("pending_live_equity") }} {{ refresh_settings() }}
