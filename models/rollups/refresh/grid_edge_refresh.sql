{{ config(refreshable=every(30, behind=20)) }}
{{ materialization_target_table(ref("grid_edge")) }}
-- depends_on: {{ ref("position_ledger_refresh") }}
select *
from {{ ref("pending_grid_edge") }} {{ refresh_settings() }}
