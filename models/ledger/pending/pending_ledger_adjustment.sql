{%- set columns = "account, strategy_id, symbol, executed_at, sequence, fill_id, event, signed_quantity, ratio, price, notional" -%}
with
    openings as (
        select
            account,
            strategy_id,
            symbol,
            toDateTime64(opened_at, 6, 'UTC') as executed_at,
            toUInt64(0) as sequence,
            'opening' as fill_id,
            'opening' as event,
            quantity as signed_quantity,
            toDecimal64(1, 9) as ratio,
            average_entry_price as price,
            toDecimal128(abs(quantity) * average_entry_price, 12) as notional
        from {{ ref("opening_positions") }}
    ),
    keys as (
        select account, strategy_id, symbol, min(executed_at) as first_at
        from
            (
                select account, strategy_id, symbol, executed_at
                from {{ ref("trade_execution_fact") }} final
                where symbol in (select symbol from {{ ref("corporate_actions") }})
                union all
                select account, strategy_id, symbol, executed_at
                from openings
            )
        group by account, strategy_id, symbol
    ),
    splits as (
        select
            keys.account as account,
            keys.strategy_id as strategy_id,
            keys.symbol as symbol,
            toDateTime64(action.effective_at, 6, 'UTC') as executed_at,
            toUInt64(0) as sequence,
            'split' as fill_id,
            'split' as event,
            toDecimal128(0, 9) as signed_quantity,
            toDecimal64(action.ratio, 9) as ratio,
            toDecimal128(0, 12) as price,
            toDecimal128(0, 12) as notional
        from keys
        inner join
            {{ ref("corporate_actions") }} as action on keys.symbol = action.symbol
        where keys.first_at < action.effective_at and action.effective_at <= now64(6)
    ),
    -- Rows that are in both are unchanged.
    differences as (
        select {{ columns }}, is_stored
        from
            (
                select *, count() over (partition by {{ columns }}) as occurrences
                from
                    (
                        select {{ columns }}, toUInt8(0) as is_stored
                        from openings
                        union all
                        select {{ columns }}, toUInt8(0) as is_stored
                        from splits
                        union all
                        select {{ columns }}, toUInt8(1) as is_stored
                        from {{ ref("ledger_adjustment") }} final
                    )
            )
        where occurrences = 1
    ),
    (
        select
            greatest(
                toUInt64(toUnixTimestamp64Milli(now64(3))), 1 + intDiv(max(revision), 2)
            )
        from {{ ref("ledger_adjustment") }}
    ) as version
select
    {{ columns }},
    is_stored as is_deleted,
    -- A standing row wins over the removal of its former version under the same key.
    2 * version + 1 - is_stored as revision
from differences
union all
select
    '',
    '',
    '',
    toDateTime64(0, 6, 'UTC'),
    0,
    'cursor',
    '',
    0,
    0,
    0,
    0,
    1,
    2 * version + 1
from system.one
where
    exists (select 1 from differences)
    -- A refresh that was killed before its cursor.
    or (select max(revision) from {{ ref("ledger_adjustment") }})
    > (select max(revision) from {{ ref("ledger_adjustment") }} where account = '')
