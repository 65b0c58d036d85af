{{ config(meta={"stage_before": "live_position"}) }}
-- depends_on: {{ ref("live_position") }}
-- depends_on: {{ ref("live_edge") }}
-- depends_on: {{ ref("live_flow") }}
-- depends_on: {{ ref("trade") }}
-- depends_on: {{ ref("flow_constants") }}
with {{ constants_of("flow_constants", ["trades_until", "rolled_until", "under_way"]) }}
select *, trades_until as trade_revision
from ({{ stage(scope_flows()) }})
-- Once for a moment: what is stored of it is what is known of it.
where as_of > (select max(as_of) from {{ ref("live_flow") }})
