{{ config(refreshable=every(10, behind=3)) }}
{{ materialization_target_table(ref("order_outcome")) }}
-- depends_on: {{ ref("trade_execution_fact_refresh") }}
select * except (written)
from {{ ref("pending_order_outcome") }} {{ refresh_settings() }}, {{ one_part() }}
