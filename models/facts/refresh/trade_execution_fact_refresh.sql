{{ config(refreshable=after(["changed_order_refresh"])) }}
{{ materialization_target_table(ref("trade_execution_fact")) }}
-- depends_on: {{ ref("changed_order_refresh") }}
select *
from {{ ref("pending_trade_execution") }}
-- The cursor behind the fills that it stands for.
order by account = '' {{ refresh_settings() }}
