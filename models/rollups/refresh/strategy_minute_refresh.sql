{{ config(refreshable=after(["grid_edge_refresh"])) }}
{{ materialization_target_table(ref("strategy_minute")) }}
-- depends_on: {{ ref("grid_edge_refresh") }}
select *
from {{ ref("pending_strategy_minute") }} {{ refresh_settings() }}, {{ one_part() }}
