{{ config(refreshable=every_second()) }}
{{ materialization_target_table(ref("execution_version_fact")) }}
select * except (broker_order)
from {{ ref("stg_torghut__execution_versions") }}
where {{ newly_applied(ref("execution_version_fact")) }}
order by applied, source_version
