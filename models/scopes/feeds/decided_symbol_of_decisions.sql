{{ materialization_target_table(ref("decided_symbol")) }}
select
    toStartOfInterval(decided_at, interval 30 minute) as half_hour_at,
    account,
    cast(strategy_id as LowCardinality(String)) as strategy_id,
    symbol,
    min(decided_at) as first_at
from {{ ref("decision_fact") }}
where is_deleted = 0
group by half_hour_at, account, strategy_id, symbol
