{{ config(contract={"enforced": true}) }}
select
    cast(account as String) as account,
    cast(ifNull({{ calendar_of("account") }}, '') as String) as calendar,
    max(seen_at) as last_event_at
from
    (
        select toString(account) as account, max(snapshot_at) as seen_at
        from {{ ref("position_snapshot_fact") }}
        group by account
        union all
        select toString(account) as account, max(executed_at) as seen_at
        from {{ ref("ledger_head") }}
        where account != ''
        group by account
        union all
        select toString(account) as account, max(decided_at) as seen_at
        from {{ ref("decision_fact") }}
        group by account
    )
group by account
