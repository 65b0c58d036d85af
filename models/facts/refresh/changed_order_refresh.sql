{{ config(refreshable=after(["execution_version_fact_refresh"])) }}
{{ materialization_target_table(ref("changed_order")) }}
-- depends_on: {{ ref("execution_version_fact_refresh") }}
select *
from {{ ref("pending_changed_order") }}
-- The closing row behind the keys that it closes.
order by is_end {{ refresh_settings() }}
