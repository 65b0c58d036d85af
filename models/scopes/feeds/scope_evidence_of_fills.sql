{{ materialization_target_table(ref("scope_evidence")) }}
select account, strategy_id, 'fill' as evidence, min(executed_at) as first_at
from {{ ref("position_ledger") }}
where account != ''
group by account, strategy_id
