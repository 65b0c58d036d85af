{{ config(refreshable=every(5, behind=1)) }}
{{ materialization_target_table(ref("working_order")) }}
-- depends_on: {{ ref("execution_version_fact_refresh") }}
select *
from {{ ref("pending_working_order") }} {{ refresh_settings() }}, {{ one_part() }}
