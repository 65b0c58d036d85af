{{ config(refreshable=every_second()) }}
{{ materialization_target_table(ref("order_event_fact")) }}
select * except (source_version)
from {{ ref("stg_torghut__execution_order_events") }}
where {{ newly_applied(ref("order_event_fact")) }}
order by applied, source_version
