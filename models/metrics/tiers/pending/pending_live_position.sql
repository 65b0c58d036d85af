{{ config(meta={"stage_before": "live_scope"}) }}
-- depends_on: {{ ref("live_scope") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_market") }}
-- depends_on: {{ ref("live_holding") }}
select *, {{ known_until("ledger") }} as ledger
from ({{ stage(scope_positions()) }})
