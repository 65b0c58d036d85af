{{ config(materialized="view") }}
with
    orders as (
        select *
        from {{ ref("execution_version_fact") }} final
        order by source_version desc
        limit 1 by order_id
    ),
    terminal as (
        select order_id, min(coalesce(last_update_at, updated_at)) as terminal_at
        from {{ ref("execution_version_fact") }} final
        where status in ('filled', 'canceled', 'expired', 'rejected')
        group by order_id
    ),
    fills as (
        select
            order_id,
            any(strategy_id) as strategy_id,
            any(account) as account,
            min(executed_at) as first_fill_at,
            max(executed_at) as last_fill_at
        from {{ ref("trade_execution_fact") }} final
        group by order_id
    )
select
    orders.order_id as order_id,
    orders.decision_id as decision_id,
    if(
        decision.strategy_id = '', 'unattributed', toString(decision.strategy_id)
    ) as strategy_id,
    coalesce(
        nullIf(orders.account, ''), nullIf(toString(decision.account), ''), 'unknown'
    ) as account,
    orders.symbol as symbol,
    orders.side as side,
    orders.order_type as order_type,
    orders.status as status,
    toUInt8(
        cast(orders.status as String) in ('filled', 'canceled', 'expired', 'rejected')
    ) as is_terminal,
    orders.submitted_quantity as submitted_quantity,
    orders.filled_quantity as filled_quantity,
    orders.average_fill_price as average_fill_price,
    orders.limit_price as limit_price,
    orders.fee as fee,
    if(decision.strategy_id = '', null, decision.decided_at) as decided_at,
    coalesce(
        orders.submitted_at, decision.submitted_at, orders.created_at
    ) as submitted_at,
    if(fills.strategy_id = '', null, fills.first_fill_at) as first_fill_at,
    if(fills.strategy_id = '', null, fills.last_fill_at) as last_fill_at,
    if(is_terminal = 1, terminal.terminal_at, null) as terminal_at,
    orders.expected_adapter as expected_adapter,
    orders.actual_adapter as actual_adapter,
    if(
        orders.status = 'rejected', cast(decision.reject_class as String), ''
    ) as reject_class,
    if(
        orders.status = 'rejected', cast(decision.reject_reason as String), ''
    ) as reject_reason
from orders
left join
    {{ ref("decision_fact") }} as decision final
    on orders.decision_id = decision.decision_id
left join terminal on orders.order_id = terminal.order_id
left join fills on orders.order_id = fills.order_id
where orders.is_deleted = 0
