{{ config(refreshable=after(["decision_fact_refresh"])) }}
{{ materialization_target_table(ref("order_event_fact")) }}
-- depends_on: {{ ref("decision_fact_refresh") }}
select * except (source_version)
from {{ ref("stg_torghut__execution_order_events") }}
where {{ newly_applied(ref("order_event_fact")) }}
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by applied {{ refresh_settings() }}
