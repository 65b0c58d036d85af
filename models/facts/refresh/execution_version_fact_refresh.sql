{{ config(refreshable=after(["order_event_fact_refresh"])) }}
{{ materialization_target_table(ref("execution_version_fact")) }}
{%- set names = "broker_order_id, decision_id" -%}
-- depends_on: {{ ref("order_event_fact_refresh") }}
with
    -- A removal names nothing but the row's id: the order by which its fills are found
    -- is the one that it had.
    versions as (
        select
            * except (broker_order),
            argMaxIf(({{ names }}), source_version, is_deleted = 0) over same as named,
            maxIf(source_version, is_deleted = 0) over same as named_by
        from {{ ref("stg_torghut__execution_versions") }}
        where {{ newly_applied(ref("execution_version_fact")) }}
        window same as (partition by order_id)
    ),
    former as (
        select
            order_id,
            argMax(({{ names }}), source_version) as named,
            max(source_version) as named_by
        from {{ ref("execution_version_fact") }}
        where
            is_deleted = 0
            and order_id in (
                select order_id
                from {{ ref("stg_torghut__removed_executions") }}
                where {{ newly_applied(ref("execution_version_fact")) }}
            )
        group by order_id
    )
select
    versions.* except (broker_order_id, decision_id, named, named_by),
    {%- for name in ["broker_order_id", "decision_id"] %}
        multiIf(
            versions.is_deleted = 0,
            versions.{{ name }},
            versions.named_by >= former.named_by,
            versions.named.{{ loop.index }},
            former.named.{{ loop.index }}
        ) as {{ name }}{{ "," if not loop.last }}
    {%- endfor %}
from versions
left join former on versions.order_id = former.order_id
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by versions.applied {{ refresh_settings() }}
