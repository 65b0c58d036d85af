{%- set key = "account, strategy_id, symbol, order_id" -%}
with
    (select (done, ledger_until, changed) from {{ ref("trade_progress") }}) as progress,
    progress .1 as done,
    progress .2 as ledger_until,
    progress .3 as changed,
    (
        select groupArray(({{ key }}, state .1, state .2))
        from
            (
                select
                    {{ key }},
                    argMax((first_closed_at, traded_at, is_deleted), revision) as state
                from {{ ref("trade") }}
                where order_id in (select arrayJoin(changed .1)) and account != ''
                group by {{ key }}
            )
        where state .3 = 0
    ) as former,
    -- All closing fills of these orders, also those that did not change.
    current as (
        select
            {{ key }},
            min(executed_at) as first_closed_at,
            max(executed_at) as traded_at,
            count() as fills,
            sum(closed_quantity) as quantity,
            sum(gross_realized_pnl) as gross_pnl,
            sum(closing_fee) as closing_fee,
            sum(toFloat64(closed_quantity) * holding_seconds)
            / toFloat64(quantity) as holding_seconds
        from
            {{
                ledger_at(
                    "ledger_until",
                    "toStartOfHour(executed_at) >= toStartOfHour(arrayMin(arrayPushBack(former.5, changed.2)))"
                    ~ " and order_id in (select arrayJoin(changed.1)) and closed_quantity > 0",
                )
            }}
        group by {{ key }}
    ),
    versions as (
        select
            {{ key }},
            (
                first_closed_at,
                traded_at,
                fills,
                quantity,
                gross_pnl,
                closing_fee,
                assumeNotNull(holding_seconds),
                0
            ) as version
        from current
        union all
        -- The removal of what was there: of another hour, or no trade any more. Where a
        -- row stands under its key, that one wins by the last bit of its revision.
        select
            gone .1 as account,
            gone .2 as strategy_id,
            gone .3 as symbol,
            gone .4 as order_id,
            (gone .5, gone .6, 0, 0, 0, 0, 0, 1) as version
        from (select arrayJoin(former) as gone)
        union all
        -- The cursor: a row that no reader sees.
        select
            '' as account,
            '' as strategy_id,
            '' as symbol,
            toUUIDOrZero('') as order_id,
            (
                toDateTime64(0, 6, 'UTC'), toDateTime64(0, 6, 'UTC'), 0, 0, 0, 0, 0, 1
            ) as version
        from system.one
        where ledger_until != done
    )
select
    {{ key }},
    version .1 as first_closed_at,
    version .2 as traded_at,
    version .3 as fills,
    version .4 as quantity,
    version .5 as gross_pnl,
    version .6 as closing_fee,
    version .7 as holding_seconds,
    version .8 as is_deleted,
    2 * ledger_until + 1 - is_deleted as revision
from versions
