{{ config(refreshable=after(["decision_fact_refresh"])) }}
{{ materialization_target_table(ref("order_event_fact")) }}
-- depends_on: {{ ref("decision_fact_refresh") }}
with
    events as (
        select * except (source_version)
        from {{ ref("stg_torghut__execution_order_events") }}
        where {{ newly_applied(ref("order_event_fact")) }}
    )
select *
from
    (
        select *
        from events
        union all
        -- The removal of an event from the order that it no longer names.
        select
            former.* except (is_deleted, applied),
            1 as is_deleted,
            events.applied as applied
        from {{ ref("order_event_fact") }} as former
        inner join events on former.event_id = events.event_id
        where
            former.event_id in (select event_id from events)
            and former.is_deleted = 0
            and former.order_key != events.order_key
    )
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by applied {{ refresh_settings() }}
