select
    calendar,
    arraySort(groupUniqArray(account)) as accounts,
    arraySort(
        groupUniqArray(
            (edge, window, edge_at, quotes_from, trading_ms, sampling_ms, is_open)
        )
    ) as edges
from {{ at_as_of("account_edge") }}
where {account:String} in ('', account)
group by calendar
