{{ config(refreshable=after(["live_position_refresh"])) }}
{{ materialization_target_table(ref("live_trade")) }}
-- depends_on: {{ ref("live_position_refresh") }}
select *
from {{ ref("pending_live_trade") }} {{ refresh_settings() }}
