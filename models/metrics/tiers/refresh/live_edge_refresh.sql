{{ config(refreshable=after(["position_snapshot_fact_refresh"]) if tier_seconds() == 1 else every(tier_seconds())) }}
{{ materialization_target_table(ref("live_edge")) }}
-- depends_on: {{ ref("position_snapshot_fact_refresh") }}
select *
from {{ ref("pending_live_edge") }} {{ refresh_settings() }}
