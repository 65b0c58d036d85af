with
    (select progress from {{ ref("outcome_progress") }}) as progress,
    (
        select
            (
                maxIf(decision_end, batch <= progress .1),
                maxIf(decision_end, batch <= progress .2)
            )
        from {{ ref("changed_order") }}
        where is_end = 1
    ) as decisions_read,
    -- Orders and decisions that changed, and those whose quotes may have come since.
    (
        select
            (
                groupUniqArray(broker_order_id),
                groupUniqArrayIf(assumeNotNull(decision_id), decision_id is not null)
            )
        from
            (
                select broker_order_id, decision_id
                from {{ ref("changed_order") }}
                where is_end = 0 and batch > progress .1 and batch <= progress .2
                union all
                -- A decision without an order has its own id for one.
                select toString(decision_id) as broker_order_id, decision_id
                from {{ ref("decision_fact") }}
                where applied > decisions_read .1 and applied <= decisions_read .2
                union all
                select broker_order_id, decision_id
                from {{ ref("order_outcome") }}
                where {{ awaits_quotes() }}
            )
    ) as changed
-- With the other orders of these decisions.
select
    (
        arrayDistinct(
            arrayConcat(
                changed .1,
                arrayMap(decision -> toString(decision), changed .2),
                groupUniqArray(broker_order_id)
            )
        ),
        changed .2
    ) as touched
from {{ ref("execution_version_fact") }}
where decision_id in (select arrayJoin(changed .2))
