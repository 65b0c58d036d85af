{{ config(meta={"stage_before": "live_flow"}) }}
-- depends_on: {{ ref("live_flow") }}
-- depends_on: {{ ref("live_position") }}
-- depends_on: {{ ref("live_scope") }}
select
    {{ as_of() }} as as_of,
    (
        select max(snapshots) from {{ ref("live_scope") }} where as_of = {{ as_of() }}
    ) as snapshots,
    (
        select max(ledger) from {{ ref("live_position") }} where as_of = {{ as_of() }}
    ) as ledger,
    (
        select max(trade_revision)
        from {{ ref("live_flow") }}
        where as_of = {{ as_of() }}
    ) as trades,
    (select watermark from {{ ref("stg_mirror__progress") }}) as watermark
from system.one
where as_of > (select max(as_of) from {{ ref("known_state") }})
