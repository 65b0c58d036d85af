{{ config(refreshable=every_second(after=["live_position_refresh"], tier=true)) }}
{{ materialization_target_table(ref("live_trade")) }}
-- depends_on: {{ ref("live_position_refresh") }}
select *
from {{ ref("pending_live_trade") }}
