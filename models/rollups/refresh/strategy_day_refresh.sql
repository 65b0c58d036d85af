{{ config(refreshable=after(["strategy_hour_refresh"])) }}
{{ materialization_target_table(ref("strategy_day")) }}
-- depends_on: {{ ref("strategy_hour_refresh") }}
select *
from {{ ref("pending_strategy_day") }} {{ refresh_settings() }}, {{ one_part() }}
