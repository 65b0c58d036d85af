{{ config(refreshable=every(10, behind=3)) }}
{{ materialization_target_table(ref("symbol_hour")) }}
select *
from {{ ref("pending_symbol_hour") }} {{ refresh_settings() }}, {{ one_part() }}
