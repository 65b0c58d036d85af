{{ config(refreshable=after(["position_hour_refresh"])) }}
{{ materialization_target_table(ref("holding_hour")) }}
-- depends_on: {{ ref("position_hour_refresh") }}
select *
from {{ ref("pending_holding_hour") }} {{ refresh_settings() }}, {{ one_part() }}
