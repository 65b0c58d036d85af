select toString(groupArray(edges)) as edges
from
    (
        select (account, calendar, edge, window, edge_at, quotes_from, trading_ms, sampling_ms, is_open) as edges
        from quant.account_edge(as_of = {as_of:String})
        where edge = 0 and {account:String} in ('', account)
    )
