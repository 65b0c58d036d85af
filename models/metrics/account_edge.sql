select
    cast(scope.account as String) as account,
    edge.calendar as calendar,
    edge.edge as edge,
    edge.window as
window
    ,
    edge.edge_at as edge_at,
    edge.quotes_from as quotes_from,
    edge.trading_ms as trading_ms,
    edge.sampling_ms as sampling_ms,
    edge.is_open as is_open
from
    (
        select account, {{ calendar_of("account") }} as calendar
        from
            (
                select toString(account) as account
                from {{ ref("position_snapshot_fact") }}
                where snapshot_at <= {{ as_of() }}
                group by account
                union distinct
                select toString(account) as account
                from {{ ref("position_ledger") }}
                where executed_at <= {{ as_of() }} and account != ''
                group by account
                union distinct
                select toString(account) as account
                from {{ ref("decision_fact") }}
                where decided_at <= {{ as_of() }}
                group by account
            )
    ) as scope
inner join {{ at_as_of("calendar_edge") }} as edge on scope.calendar = edge.calendar
