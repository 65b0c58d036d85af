{{ config(meta={"stage_before": "live_equity"}) }}
-- depends_on: {{ ref("live_equity") }}
-- depends_on: {{ ref("live_edge") }}
select *, {{ as_of() }} as as_of
from ({{ scope_bases() }})
