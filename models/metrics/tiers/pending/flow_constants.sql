{{ config(meta={"stage_before": "live_position"}) }}
-- depends_on: {{ ref("live_position") }}
with
    {{ trades_until() }},
    {{ first_unrolled_hour(known_until("ledger")) }} as rolled_until
select trades_until, rolled_until, {{ orders_under_way() }} as under_way
