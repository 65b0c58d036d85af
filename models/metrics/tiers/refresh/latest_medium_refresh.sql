{{ config(refreshable=after(["live_order_refresh"], append=false)) }}
{{ materialization_target_table(ref("latest_medium")) }}
-- depends_on: {{ ref("live_order_refresh") }}
select *
from {{ ref("medium_frame") }} {{ refresh_settings() }}
