{{ config(refreshable=after(["live_feed_refresh"])) }}
{{ materialization_target_table(ref("live_order")) }}
-- depends_on: {{ ref("live_feed_refresh") }}
select *
from {{ ref("pending_live_order") }} {{ refresh_settings() }}
