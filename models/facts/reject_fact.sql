{{ config(materialized="view") }}
with
    ordered_decisions as (
        select assumeNotNull(decision_id) as decision_id
        from {{ ref("execution_version_fact") }}
        where decision_id is not null
    ),
    decisions as (
        select
            if(
                submission_stage = 'rejected_submit'
                or match(
                    reject_reason,
                    '^(alpaca_order_rejected|alpaca_order_submit_failed|broker_precheck_rejected|local_pre_submit_rejected)'
                ),
                'submit',
                'decision'
            ) as reject_kind,
            toNullable(decision_id) as decision_id,
            cast(null as Nullable(UUID)) as order_id,
            strategy_id,
            cast(account as String) as account,
            cast(symbol as String) as symbol,
            coalesce(submitted_at, decided_at) as rejected_at,
            reject_reason as reason,
            reject_class
        from {{ ref("decision_fact") }} final
        where
            status in ('rejected', 'blocked')
            and decision_id not in (select decision_id from ordered_decisions)
    ),
    orders as (
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
    )
select *
from decisions
union all
select *
from orders
