{{ config(refreshable=every(10, behind=5)) }}
{{ materialization_target_table(ref("strategy_hour")) }}
-- depends_on: {{ ref("trade_refresh") }}
select *
from {{ ref("pending_strategy_hour") }} {{ refresh_settings() }}, {{ one_part() }}
