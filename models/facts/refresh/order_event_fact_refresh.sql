{{ config(refreshable=every_second()) }}
{{ materialization_target_table(ref("order_event_fact")) }}
select * except (source_version)
from {{ ref("stg_torghut__execution_order_events") }}
where {{ newly_applied(ref("order_event_fact")) }}
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by applied {{ refresh_settings() }}
