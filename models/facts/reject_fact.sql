{{ config(materialized="view") }}
select
    reject_kind,
    toNullable(decision_id) as decision_id,
    cast(null as Nullable(UUID)) as order_id,
    strategy_id,
    account,
    symbol,
    rejected_at,
    reject_reason as reason,
    reject_class
from ({{ orderless_rejects() }})
union all
select
    'order' as reject_kind,
    decision_id,
    toNullable(order_id) as order_id,
    cast(strategy_id as String) as strategy_id,
    cast(account as String) as account,
    cast(symbol as String) as symbol,
    coalesce(terminal_at, submitted_at) as rejected_at,
    reject_reason as reason,
    reject_class
from {{ ref("order_lifecycle_fact") }}
where status = 'rejected'
