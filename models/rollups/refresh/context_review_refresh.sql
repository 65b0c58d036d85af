{{ config(refreshable=every(5, behind=2)) }}
{{ materialization_target_table(ref("context_review")) }}
select *
from {{ ref("pending_context_review") }} {{ refresh_settings() }}, {{ one_part() }}
