{{ config(refreshable=after(["strategy_hour_refresh"])) }}
{{ materialization_target_table(ref("position_hour")) }}
-- depends_on: {{ ref("strategy_hour_refresh") }}
select *
from {{ ref("pending_position_hour") }} {{ refresh_settings() }}, {{ one_part() }}
