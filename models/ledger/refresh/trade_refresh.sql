{{ config(refreshable=after(["position_ledger_refresh"])) }}
{{ materialization_target_table(ref("trade")) }}
-- depends_on: {{ ref("position_ledger_refresh") }}
select *
from {{ ref("pending_trade") }} {{ refresh_settings() }}, {{ one_part() }}
