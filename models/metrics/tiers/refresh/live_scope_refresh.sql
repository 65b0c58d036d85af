{{ config(refreshable=every_second(after=["live_equity_refresh"], tier=true)) }}
{{ materialization_target_table(ref("live_scope")) }}
-- depends_on: {{ ref("live_equity_refresh") }}
select *
from {{ ref("pending_live_scope") }}
