{{ config(refreshable=every_second(after=["live_equity_refresh"], tier=true), meta={"stage_before": "live_equity"}) }}
{{ materialization_target_table(ref("live_scope")) }}
-- depends_on: {{ ref("live_equity_refresh") }}
-- depends_on: {{ ref("live_equity") }}
-- depends_on: {{ ref("live_edge") }}
select *, {{ as_of() }} as as_of
from ({{ scope_bases() }})
