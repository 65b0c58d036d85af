{{
    config(
        refreshable=every_second(after=["position_ledger_refresh", "position_snapshot_fact_refresh"], tier=true),
        meta={"stage_before": "clock"},
    )
}}
{{ materialization_target_table(ref("live_edge")) }}
-- depends_on: {{ ref("position_ledger_refresh") }}
-- depends_on: {{ ref("position_snapshot_fact_refresh") }}
-- Appended, not replaced: the stages name this table in several places and must find
-- the same moment in all of them.
select *, max(edge_at) over () as as_of
from ({{ account_edges() }})
