{{ config(refreshable=after(["trade_execution_fact_refresh"])) }}
{{ materialization_target_table(ref("position_ledger")) }}
-- depends_on: {{ ref("trade_execution_fact_refresh") }}
select *
from {{ ref("pending_position_ledger") }}
-- The cursor behind the rows that it stands for.
order by account = '' {{ refresh_settings() }}
