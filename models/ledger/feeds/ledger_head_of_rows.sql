{{ materialization_target_table(ref("ledger_head")) }}
select {{ ledger_head_columns() }}
from {{ ref("position_ledger") }}
-- The cursors too: how far the heads are there.
where superseded_by = 0 and (bitAnd(revision, 1) = 1 or account = '')
