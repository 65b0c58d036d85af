{{ materialization_target_table(ref("scope_evidence")) }}
select account, '' as strategy_id, 'snapshot' as evidence, min(snapshot_at) as first_at
from {{ ref("position_snapshot_fact") }}
group by account
