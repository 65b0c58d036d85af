with
    {{ next_batch(ref("changed_order")) }} as next_batch,
    (
        select argMax((decision_end, version_end, event_end), batch)
        from {{ ref("changed_order") }}
        where is_end = 1
    ) as done,
    -- How far each input is there, fixed before any of it is read: what arrives
    -- meanwhile belongs to the next batch.
    (select max(applied) from {{ ref("decision_fact") }}) as decisions_until,
    -- Of many versions, some at a time: computing fills takes 1.2 KB of memory for
    -- each.
    (
        select max(applied)
        from
            (
                select applied
                from {{ ref("execution_version_fact") }}
                where applied > done .2
                order by applied
                limit {{ var("rows_per_refresh") }}
            )
    ) as newer_versions,
    greatest(newer_versions, done .2) as versions_until,
    (select max(applied) from {{ ref("order_event_fact") }}) as events_until
-- Three queries, each by its own index: over one condition with `or` the filter on
-- decision_id also skips rows without
-- a decision that the other two conditions want.
select
    next_batch as batch,
    toUInt8(0) as is_end,
    broker_order_id,
    decision_id,
    toUInt64(0) as decision_end,
    toUInt64(0) as version_end,
    toUInt64(0) as event_end
from
    (
        select distinct broker_order_id, decision_id
        from
            (
                select broker_order_id, decision_id
                from {{ ref("execution_version_fact") }}
                where applied > done .2 and applied <= versions_until
                union all
                select broker_order_id, decision_id
                from {{ ref("execution_version_fact") }}
                where
                    decision_id in (
                        select decision_id
                        from {{ ref("decision_fact") }}
                        where applied > done .1 and applied <= decisions_until
                    )
                union all
                select broker_order_id, decision_id
                from {{ ref("execution_version_fact") }}
                where
                    broker_order_id in (
                        select order_key
                        from {{ ref("order_event_fact") }}
                        where applied > done .3 and applied <= events_until
                    )
            )
    )
union all
select
    next_batch as batch,
    toUInt8(1) as is_end,
    '' as broker_order_id,
    null as decision_id,
    decisions_until as decision_end,
    versions_until as version_end,
    events_until as event_end
from system.one
where (decisions_until, versions_until, events_until) != done
