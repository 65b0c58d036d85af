{{ config(meta={"stage_before": "live_holding"}) }}
-- depends_on: {{ ref("live_holding") }}
-- depends_on: {{ ref("live_edge") }}
select
    *,
    (select max(last_applied) from {{ ref("snapshot_day") }}) as snapshots,
    {{ as_of() }} as as_of
from ({{ scope_bases() }})
