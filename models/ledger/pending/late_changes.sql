with (select changes from {{ ref("ledger_changes") }}) as changes
select
    cast(
        arrayMap(
            entry
            -> (entry.account, entry.strategy_id, entry.symbol, entry.first_change),
            arrayFilter(entry -> entry.is_late, changes)
        ) as Array(
            Tuple(
                account String,
                strategy_id String,
                symbol String,
                first_change Tuple(DateTime64(6, 'UTC'), UInt64, String)
            )
        )
    ) as late
