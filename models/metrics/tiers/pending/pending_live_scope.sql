{{ config(meta={"stage_before": "live_holding"}) }}
-- depends_on: {{ ref("live_holding") }}
-- depends_on: {{ ref("live_edge") }}
select
    *,
    (select max(applied) from {{ ref("position_snapshot_fact") }}) as snapshots,
    {{ as_of() }} as as_of
from ({{ scope_bases() }})
