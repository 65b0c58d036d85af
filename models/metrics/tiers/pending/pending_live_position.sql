{{ config(meta={"stage_before": "live_scope"}) }}
-- depends_on: {{ ref("live_scope") }}
-- depends_on: {{ ref("live_position") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_market") }}
-- depends_on: {{ ref("live_holding") }}
-- depends_on: {{ ref("position_constants") }}
with {{ constants_of("position_constants", ["ledger_until", "rolled_until"]) }}
select *, ledger_until as ledger
from ({{ stage(scope_positions()) }})
-- Once for a moment: what is stored of it is what is known of it.
where as_of > (select max(as_of) from {{ ref("live_position") }})
