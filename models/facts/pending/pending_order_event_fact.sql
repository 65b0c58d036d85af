select * except (source_version)
from {{ ref("stg_torghut__execution_order_events") }}
where {{ newly_applied(ref("order_event_fact")) }}
