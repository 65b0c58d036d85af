{{ materialization_target_table(ref("scope_evidence")) }}
select
    account,
    cast(strategy_id as LowCardinality(String)) as strategy_id,
    'decision' as evidence,
    min(decided_at) as first_at
from {{ ref("decision_fact") }}
group by account, strategy_id
