{#- One trigger, the chain that ends later. Behind both, a run that a late ledger missed left the two out of step for good:
    the positions came right behind the scopes, 0.3 s before the ledger of the same second, and a fill was served a
    second later than it could be. -#}
{{ config(refreshable=after(["position_ledger_refresh"])) }}
{{ materialization_target_table(ref("live_position")) }}
-- depends_on: {{ ref("live_scope_refresh") }}
-- depends_on: {{ ref("position_ledger_refresh") }}
select *
from {{ ref("pending_live_position") }} {{ refresh_settings() }}
