{{ config(meta={"stage_before": "live_scope"}) }}
-- depends_on: {{ ref("live_scope") }}
with {{ ledger_until() }}
select ledger_until, {{ first_unrolled_hour("ledger_until") }} as rolled_until
