{{ config(refreshable=after(["trade_execution_fact_refresh"])) }}
{{ materialization_target_table(ref("position_ledger")) }}
-- depends_on: {{ ref("trade_execution_fact_refresh") }}
-- depends_on: {{ ref("ledger_head_of_rows") }}
select *
from
    {{ ref("pending_position_ledger") }}
    {{ refresh_settings(threads=2) }},
    {{ ledger_settings() }}
