select * except (broker_order)
from {{ ref("stg_torghut__execution_versions") }}
where {{ newly_applied(ref("execution_version_fact")) }}
