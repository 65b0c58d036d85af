{{ config(refreshable=every(600, behind=40)) }}
{{ materialization_target_table(ref("symbol_hour")) }}
select *
from {{ ref("pending_symbol_hour_sweep") }} {{ refresh_settings() }}, {{ one_part() }}
