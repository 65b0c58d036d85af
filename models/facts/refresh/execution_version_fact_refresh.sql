{{ config(refreshable=after(["order_event_fact_refresh"])) }}
{{ materialization_target_table(ref("execution_version_fact")) }}
-- depends_on: {{ ref("order_event_fact_refresh") }}
with
    versions as (
        select * except (broker_order)
        from {{ ref("stg_torghut__execution_versions") }}
        where {{ newly_applied(ref("execution_version_fact")) }}
    ),
    -- What removals need to know, read without the JSON beside it: each mention of the
    -- versions plans parsing them once more.
    names as (
        select order_id, broker_order_id, decision_id, source_version, is_deleted
        from {{ ref("stg_torghut__execution_names") }}
        where {{ newly_applied(ref("execution_version_fact")) }}
    ),
    removed as (select order_id from names where is_deleted = 1),
    -- A removal names nothing but the row's id: the order by which its fills are found
    -- is the one that it had.
    former as (
        select order_id, argMax((broker_order_id, decision_id), source_version) as named
        from
            (
                select order_id, broker_order_id, decision_id, source_version
                from names
                where is_deleted = 0 and order_id in (select order_id from removed)
                union all
                select order_id, broker_order_id, decision_id, source_version
                from {{ ref("execution_version_fact") }}
                where is_deleted = 0 and order_id in (select order_id from removed)
            )
        group by order_id
    )
select
    versions.* except (broker_order_id, decision_id),
    if(
        versions.is_deleted = 1, former.named .1, versions.broker_order_id
    ) as broker_order_id,
    if(versions.is_deleted = 1, former.named .2, versions.decision_id) as decision_id
from versions
left join former on versions.order_id = former.order_id
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by versions.applied {{ refresh_settings() }}
