{{ config(refreshable=every(60)) }}
{{ materialization_target_table(ref("ledger_adjustment")) }}
select *
from {{ ref("pending_ledger_adjustment") }}
-- The cursor behind the rows that it stands for.
order by account = '' {{ refresh_settings() }}
