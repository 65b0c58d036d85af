with
    -- Up to which batch of the mirror the orders are here.
    (
        select max(revision)
        from {{ ref("working_order") }}
        where
            is_brief = 0
            and toStartOfHour(working_from) = toDateTime(0, 'UTC')
            and account = ''
    ) as done,
    -- Of many versions, some at a time.
    (
        select max(applied)
        from
            (
                select applied
                from {{ ref("execution_version_fact") }}
                where applied > done
                order by applied
                limit {{ var("rows_per_refresh") }}
            )
    ) as applied_until,
    (
        select groupUniqArray(order_id)
        from {{ ref("execution_version_fact") }}
        where applied > done and applied <= applied_until
    ) as touched,
    orders as (
        select
            order_id,
            argMax(version.is_deleted, source_version) as is_deleted,
            argMax(decision_id, source_version) as decision_id,
            argMaxIf(
                version.account, source_version, version.is_deleted = 0
            ) as account,
            argMaxIf(version.symbol, source_version, version.is_deleted = 0) as symbol,
            argMaxIf(
                version.submitted_at, source_version, version.is_deleted = 0
            ) as submitted_at,
            min(version.created_at) as created_at,
            argMax({{ is_terminal("version.status") }}, source_version) as is_ended,
            minIf(
                coalesce(last_update_at, updated_at),
                {{ is_terminal("version.status") }}
            ) as ended_at
        from {{ ref("execution_version_fact") }} as version final
        where order_id in (select arrayJoin(touched))
        group by order_id
    ),
    -- From the mirror's rows: a decision is there no later than its order.
    decisions as (
        select decision_id, strategy_id, account, submitted_at
        from {{ ref("stg_torghut__trade_decisions") }}
        where decision_id in (select assumeNotNull(decision_id) from orders)
        order by source_version desc
        limit 1 by decision_id
    ),
    spans as (
        select
            orders.order_id as order_id,
            coalesce(
                nullIf(orders.account, ''), nullIf(decisions.account, ''), 'unknown'
            ) as account,
            if(
                decisions.strategy_id = '', 'unattributed', decisions.strategy_id
            ) as strategy_id,
            orders.symbol as symbol,
            coalesce(
                orders.submitted_at, decisions.submitted_at, orders.created_at
            ) as working_from,
            if(
                orders.is_ended, orders.ended_at, toDateTime64('2200-01-01', 6, 'UTC')
            ) as working_until,
            toStartOfMinute(working_until - interval 1 microsecond)
            < working_from as is_brief
        from orders
        left join decisions on orders.decision_id = decisions.decision_id
        where orders.is_deleted = 0
    ),
    versions as (
        select *, true as is_current
        from spans
        union all
        -- What is there and may be gone, or stand in another place.
        select
            order_id,
            account,
            strategy_id,
            symbol,
            working_from,
            working_until,
            is_brief,
            false as is_current
        from {{ ref("working_order") }} final
        where order_id in (select arrayJoin(touched))
    )
select
    order_id,
    argMax(versions.account, is_current) as account,
    argMax(versions.strategy_id, is_current) as strategy_id,
    argMax(versions.symbol, is_current) as symbol,
    working_from,
    argMax(versions.working_until, is_current) as working_until,
    toUInt8(is_brief) as is_brief,
    1 - max(is_current) as is_deleted,
    applied_until as revision
from versions
group by order_id, working_from, is_brief
union all
-- The cursor: a row that no reader sees.
select
    toUUIDOrZero('') as order_id,
    '' as account,
    '' as strategy_id,
    '' as symbol,
    toDateTime64(0, 6, 'UTC') as working_from,
    toDateTime64(0, 6, 'UTC') as working_until,
    0 as is_brief,
    1 as is_deleted,
    applied_until as revision
from system.one
where applied_until > done
