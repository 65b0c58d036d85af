{{ config(refreshable=after(["decision_fact_refresh", "execution_version_fact_refresh", "order_event_fact_refresh"])) }}
{{ materialization_target_table(ref("changed_order")) }}
-- depends_on: {{ ref("decision_fact_refresh") }}
-- depends_on: {{ ref("execution_version_fact_refresh") }}
-- depends_on: {{ ref("order_event_fact_refresh") }}
select *
from {{ ref("pending_changed_order") }}
-- The closing row behind the keys that it closes.
order by is_end {{ refresh_settings() }}
