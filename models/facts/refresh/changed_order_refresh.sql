{{
    config(
        refreshable=every_second(
            after=["decision_fact_refresh", "execution_version_fact_refresh", "order_event_fact_refresh"],
            append=false,
        )
    )
}}
{{ materialization_target_table(ref("changed_order")) }}
-- depends_on: {{ ref("decision_fact_refresh") }}
-- depends_on: {{ ref("execution_version_fact_refresh") }}
-- depends_on: {{ ref("order_event_fact_refresh") }}
-- depends_on: {{ ref("trade_execution_fact") }}
with
    {{ fill_cursor("decision_fact") }} as decision_cursor,
    {{ fill_cursor("execution_version_fact") }} as version_cursor,
    {{ fill_cursor("order_event_fact") }} as event_cursor
-- Three queries, each by its own index: over one condition with `or` the filter on decision_id also skips rows without
-- a decision that the other two conditions want.
select distinct broker_order_id, decision_id, '' as input, toUInt64(0) as applied
from
    (
        select broker_order_id, decision_id
        from {{ ref("execution_version_fact") }}
        where applied > version_cursor
        union all
        select broker_order_id, decision_id
        from {{ ref("execution_version_fact") }}
        where decision_id in (select decision_id from {{ ref("decision_fact") }} where applied > decision_cursor)
        union all
        select broker_order_id, decision_id
        from {{ ref("execution_version_fact") }}
        where broker_order_id in (select order_key from {{ ref("order_event_fact") }} where applied > event_cursor)
    )
union all
select '' as broker_order_id, null as decision_id, input, applied
from
    (
        select 'decision_fact' as input, max(applied) as applied, decision_cursor as cursor
        from {{ ref("decision_fact") }}
        union all
        select 'execution_version_fact' as input, max(applied) as applied, version_cursor as cursor
        from {{ ref("execution_version_fact") }}
        union all
        select 'order_event_fact' as input, max(applied) as applied, event_cursor as cursor
        from {{ ref("order_event_fact") }}
    )
where applied > cursor
