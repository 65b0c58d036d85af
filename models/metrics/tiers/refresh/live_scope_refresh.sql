{{ config(refreshable=every_second(after=["live_equity_refresh"], tier=true), meta={"as_of_from": "live_equity"}) }}
{{ materialization_target_table(ref("live_scope")) }}
-- depends_on: {{ ref("live_equity_refresh") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_equity") }}
select *, {{ as_of() }} as as_of
from ({{ scope_bases() }})
