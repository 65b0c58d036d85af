{{ config(contract={"enforced": true}) }}
select
    rejected_at,
    reject_kind,
    toString(strategy_id) as strategy_id,
    toString(account) as account,
    toString(symbol) as symbol,
    toString(reject_class) as reject_class,
    toString(reason) as reason
from {{ ref("reject_fact") }}
