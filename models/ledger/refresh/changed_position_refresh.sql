{{ config(refreshable=every_second(after=["trade_execution_fact_refresh"], append=false)) }}
{{ materialization_target_table(ref("changed_position")) }}
-- depends_on: {{ ref("trade_execution_fact_refresh") }}
-- depends_on: {{ ref("position_ledger") }}
select
    account,
    strategy_id,
    symbol,
    min((executed_at, sequence, fill_id)) as first_change,
    max(intDiv(revision, 2)) as fact_revision
from {{ ref("trade_execution_fact") }}
where revision > (select max(revision) from {{ ref("position_ledger") }} where account = '')
group by account, strategy_id, symbol
