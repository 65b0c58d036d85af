{{ config(refreshable=every(60, behind=15)) }}
{{ materialization_target_table(ref("equity_minute")) }}
-- depends_on: {{ ref("position_snapshot_fact_refresh") }}
select *
from {{ ref("pending_equity_minute") }} {{ refresh_settings() }}, {{ one_part() }}
