{{ config(refreshable=after(["order_event_fact_refresh"])) }}
{{ materialization_target_table(ref("execution_version_fact")) }}
-- depends_on: {{ ref("order_event_fact_refresh") }}
select * except (broker_order)
from {{ ref("stg_torghut__execution_versions") }}
where {{ newly_applied(ref("execution_version_fact")) }}
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by applied {{ refresh_settings() }}
