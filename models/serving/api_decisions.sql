select
    decided_at,
    decision_id,
    strategy_id,
    account,
    symbol,
    timeframe,
    action as side,
    status,
    toFloat64(quantity) as quantity,
    submitted_at,
    reject_class,
    reject_reason,
    rationale
from {{ ref("decision_fact") }} final
