with
    (
        select max(applied)
        from {{ ref("order_outcome") }}
        where toStartOfHour(last_at) = toDateTime(0, 'UTC') and account = ''
    ) as batches_done,
    {{ fill_cursor() }} as newest_batch,
    -- Batches whose fills are there; of many orders, some at a time.
    (
        select (newest_batch, arraySort(groupArray((batch, lines))))
        from
            (
                select batch, count() as lines
                from {{ to_do(ref("changed_order")) }}
                group by batch
            )
    ) as known,
    {{ revision_until("known", "batches_done") }} as batches_until
select (ifNull(batches_done, 0), ifNull(batches_until, 0)) as progress
