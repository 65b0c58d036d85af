{{ config(refreshable=every_second(after=["live_holding_refresh"], tier=true)) }}
{{ materialization_target_table(ref("live_equity")) }}
-- depends_on: {{ ref("live_holding_refresh") }}
select *
from {{ ref("pending_live_equity") }}
