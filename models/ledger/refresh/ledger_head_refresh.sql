{{ config(refreshable=every(10)) }}
{{ materialization_target_table(ref("ledger_head")) }}
-- Heads that a kill of the warehouse lost between the ledger's part and theirs.
select {{ ledger_head_columns() }}
from {{ ref("position_ledger") }}
where
    revision > (select max(revision) from {{ ref("ledger_head") }} where account = '')
    and (bitAnd(revision, 1) = 1 or account = '')
-- The cursor behind the rows that it stands for.
order by account = '' {{ refresh_settings() }}
