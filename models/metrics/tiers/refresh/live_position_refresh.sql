{{ config(refreshable=after(["live_scope_refresh", "position_ledger_refresh"])) }}
{{ materialization_target_table(ref("live_position")) }}
-- depends_on: {{ ref("live_scope_refresh") }}
-- depends_on: {{ ref("position_ledger_refresh") }}
select *
from {{ ref("pending_live_position") }} {{ refresh_settings() }}
