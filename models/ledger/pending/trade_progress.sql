with
    -- Up to which revision of the ledger the trades are here.
    (
        select intDiv(max(revision), 2)
        from {{ ref("trade") }}
        where toStartOfHour(traded_at) = toDateTime(0, 'UTC') and account = ''
    ) as done,
    {{ revisions_until(ref("position_ledger"), "done") }} as ledger_until,
    -- Orders with a row that changed, and the first moment at which one did.
    (
        select (groupUniqArray(order_id), min(executed_at))
        from {{ ref("position_ledger") }}
        where revision > done and revision <= ledger_until and event = 'fill'
    ) as changed
select done, ledger_until, changed
