{{ config(refreshable=after(["position_snapshot_fact_refresh"])) }}
{{ materialization_target_table(ref("live_edge")) }}
-- depends_on: {{ ref("position_snapshot_fact_refresh") }}
select *
from {{ ref("pending_live_edge") }} {{ refresh_settings() }}
