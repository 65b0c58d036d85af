{{ config(meta={"stage_before": "clock"}) }}
-- Appended, not replaced: the stages name this table in several places and must find
-- the same moment in all of them.
select *, max(edge_at) over () as as_of
from ({{ account_edges() }})
