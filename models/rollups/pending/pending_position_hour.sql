{%- set key = "account, strategy_id, symbol" -%}
{%- set state_type -%}
Tuple(
    moment Tuple(DateTime64(6, 'UTC'), UInt64, String), quantity Decimal(38, 9), open_cost Decimal(38, 12),
    price Decimal(38, 12)
)
{%- endset -%}
with
    -- Up to which revision of the hours' sums the positions are here.
    (
        select max(revision)
        from {{ ref("position_hour") }}
        where hour_at = toDateTime(0, 'UTC') and account = ''
    ) as done,
    (
        select
            (
                max(revision),
                argMax(ledger_revision, revision),
                argMax(last_fill_at, revision)
            )
        from {{ ref("strategy_day") }}
        where day_at = toDateTime(0, 'UTC') and account = ''
    ) as rolled,
    -- Accounts of which an hour changed, with the hours from there on in which anything
    -- happened, and the one before.
    (
        select groupArray((toString(account), from_hour, base_hour, hours))
        from
            (
                select
                    account,
                    any(changed.from_hour) as from_hour,
                    max({{ last_hour_before("changed.from_hour") }}) as base_hour,
                    arraySort(
                        groupUniqArrayArray(
                            arrayFilter(
                                hour_at -> hour_at >= changed.from_hour
                                and hour_at < rolled .3,
                                {{ hours_of_day() }}
                            )
                        )
                    ) as hours
                from
                    (
                        select account, min(hour_at) as from_hour
                        from {{ ref("strategy_hour") }}
                        where
                            revision > done and revision <= rolled .1 and account != ''
                        group by account
                    ) as changed
                left join
                    (
                        select account, day_at, active_hours
                        from {{ ref("strategy_day") }} final
                    ) as day using (account)
                group by account
            )
    ) as changed,
    accounts as (
        select
            item .1 as account,
            item .2 as from_hour,
            item .3 as base_hour,
            item .4 as hours
        from (select arrayJoin(changed) as item)
    ),
    -- The state of each key behind each hour, and the one to begin with.
    states as (
        select
            {{ key }},
            toStartOfHour(executed_at) as hour_at,
            cast(
                argMax(
                    (
                        (executed_at, sequence, fill_id),
                        position_after,
                        open_cost,
                        price
                    ),
                    (executed_at, sequence, fill_id)
                ) as {{ state_type }}
            ) as state
        from {{ ref("position_ledger") }} as ledger final
        inner join accounts using (account)
        where
            notEmpty(changed)
            and toStartOfHour(executed_at) >= arrayMin(changed .2)
            and toStartOfHour(executed_at) < rolled .3
            and executed_at >= accounts.from_hour
        group by {{ key }}, hour_at
        union all
        select
            {{ key }},
            hour_at,
            cast(
                (
                    (traded_at, toUInt64(0), ''), quantity, open_cost, traded_price
                ) as {{ state_type }}
            ) as state
        from {{ ref("position_hour") }} final
        where (hour_at, account) in (select base_hour, account from accounts)
    ),
    keyed as (
        select {{ key }}, arraySort(groupArray((hour_at, state))) as list
        from states
        group by {{ key }}
    ),
    filled as (
        select
            {{ key }},
            hour_at,
            arrayLast(entry -> entry .1 <= hour_at, list) .2 as state,
            -- The account's last trade in the instrument, by whichever strategy.
            max(state.moment) over instrument as traded,
            argMax(state.price, state.moment) over instrument as traded_price
        from keyed
        inner join accounts using (account)
        array join accounts.hours as hour_at
        window instrument as (partition by account, symbol, hour_at)
    )
select
    hour_at,
    {{ key }},
    sum(quantity) as quantity,
    sum(open_cost) as open_cost,
    max(traded_at) as traded_at,
    sum(traded_price) as traded_price,
    rolled .2 as ledger_revision,
    1 - max(is_current) as is_deleted,
    rolled .1 as revision
from
    (
        select
            hour_at,
            {{ key }},
            state.quantity as quantity,
            state.open_cost as open_cost,
            traded .1 as traded_at,
            traded_price,
            1 as is_current
        from filled
        where state.quantity != 0
        union all
        -- What is there and may be gone.
        select
            hour_at,
            {{ key }},
            0 as quantity,
            0 as open_cost,
            toDateTime64(0, 6, 'UTC') as traded_at,
            0 as traded_price,
            0 as is_current
        from {{ ref("position_hour") }} as former final
        inner join accounts using (account)
        where former.hour_at >= accounts.from_hour
        union all
        -- The cursor: a row that no reader sees.
        select
            toDateTime(0, 'UTC') as hour_at,
            '' as account,
            '' as strategy_id,
            '' as symbol,
            0 as quantity,
            0 as open_cost,
            rolled .3 as traded_at,
            0 as traded_price,
            0 as is_current
        from system.one
        where rolled .1 != done
    )
group by hour_at, {{ key }}
