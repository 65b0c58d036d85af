{# Orders as they stand, and decisions that never became one. #}
{# Statuses in which an order is over. A replaced order is over too, but its decision goes on with another one. #}
{% macro terminal_statuses() -%}
    ('filled', 'canceled', 'expired', 'rejected')
{%- endmacro %}

{# One row per order: its last version, its decision, its fills and its end. `in_orders` narrows what is read by the
   order at the broker, `in_decisions` what is read by the decision. #}
{% macro order_states(in_orders="true", in_decisions="true") %}
    with
        versions as (
            select *
            from {{ ref("execution_version_fact") }} final
            where {{ in_orders }}
        ),
        orders as (
            select * from versions order by source_version desc limit 1 by order_id
        ),
        endings as (
            select order_id, min(coalesce(last_update_at, updated_at)) as ended_at
            from versions
            where status = 'replaced' or status in {{ terminal_statuses() }}
            group by order_id
        ),
        decisions as (
            select * from {{ ref("decision_fact") }} final where {{ in_decisions }}
        ),
        fills as (
            select
                order_id,
                arraySort(groupArray((executed_at, quantity, notional))) as fills,
                max(fill.applied) as fills_applied
            from {{ ref("trade_execution_fact") }} as fill final
            where {{ in_orders }}
            group by order_id
        )
    select
        orders.order_id as order_id,
        orders.broker_order_id as broker_order_id,
        orders.decision_id as decision_id,
        if(
            decisions.strategy_id = '', 'unattributed', toString(decisions.strategy_id)
        ) as strategy_id,
        coalesce(
            nullIf(orders.account, ''),
            nullIf(toString(decisions.account), ''),
            'unknown'
        ) as account,
        orders.symbol as symbol,
        orders.side as side,
        orders.order_type as order_type,
        orders.status as status,
        orders.submitted_quantity as submitted_quantity,
        orders.filled_quantity as filled_quantity,
        orders.average_fill_price as average_fill_price,
        orders.limit_price as limit_price,
        orders.fee as fee,
        if(decisions.strategy_id = '', null, decisions.decided_at) as decided_at,
        coalesce(
            orders.submitted_at, decisions.submitted_at, orders.created_at
        ) as submitted_at,
        arrayMap(fill -> fill .1, fills.fills) as fill_times,
        arrayMap(fill -> fill .2, fills.fills) as fill_quantities,
        arrayMap(fill -> fill .3, fills.fills) as fill_notionals,
        if(
            orders.status = 'replaced' or orders.status in {{ terminal_statuses() }},
            toNullable(endings.ended_at),
            null
        ) as ended_at,
        orders.expected_adapter as expected_adapter,
        orders.actual_adapter as actual_adapter,
        orders.fallback_count as fallback_count,
        if(
            orders.status = 'rejected', cast(decisions.reject_class as String), ''
        ) as reject_class,
        if(
            orders.status = 'rejected', cast(decisions.reject_reason as String), ''
        ) as reject_reason,
        greatest(orders.applied, decisions.applied, fills.fills_applied) as applied
    from orders
    left join decisions on orders.decision_id = decisions.decision_id
    left join endings on orders.order_id = endings.order_id
    left join fills on orders.order_id = fills.order_id
    where orders.is_deleted = 0
{% endmacro %}

{# Decisions that were rejected and have no order: before they were submitted (`decision`), or by the broker at once
   (`submit`). #}
{% macro orderless_rejects(in_decisions="true") %}
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
        decision_id,
        strategy_id,
        cast(account as String) as account,
        cast(symbol as String) as symbol,
        cast(action as String) as side,
        decided_at,
        coalesce(submitted_at, decided_at) as rejected_at,
        reject_reason,
        reject_class,
        applied
    from {{ ref("decision_fact") }} final
    where
        {{ in_decisions }}
        and status in ('rejected', 'blocked')
        and decision_id not in (
            select assumeNotNull(decision_id)
            from {{ ref("execution_version_fact") }}
            where decision_id is not null and {{ in_decisions }}
        )
{% endmacro %}
