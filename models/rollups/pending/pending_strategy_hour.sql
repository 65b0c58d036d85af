{%- set sums = sums_of_fills() + sums_of_trades() -%}
with
    -- Up to which revision of the ledger and up to which hour the sums are here.
    (
        select argMax((ledger_revision, toDateTime(last_fill_at, 'UTC')), revision)
        from {{ ref("strategy_hour") }}
        where hour_at = toDateTime(0, 'UTC') and account = ''
    ) as done,
    -- The trades follow the ledger.
    (
        select intDiv(max(revision), 2)
        from {{ ref("trade") }}
        where toStartOfHour(traded_at) = toDateTime(0, 'UTC') and account = ''
    ) as ledger_until,
    (
        select greatest(1, intDiv({{ var("positions_per_refresh") }}, 1 + count()))
        from {{ ref("ledger_head") }}
    ) as hours_at_once,
    -- Hours that were summed up before and changed. So many at once are a history that
    -- came late, as it does when a source of years is mirrored into a warehouse that
    -- stands: then it is begun anew from the first of them, some hours at a time. All
    -- 4,800 hours of 200 days with 5,000 positions at once did not fit in memory.
    (
        select arraySort(groupUniqArray(toStartOfHour(executed_at)))
        from {{ ref("position_ledger") }}
        where
            revision > done .1
            and revision <= ledger_until
            and toStartOfHour(executed_at) < done .2
            and notEmpty(account)
    ) as late_hours,
    if(length(late_hours) > hours_at_once, late_hours[1], done .2) as begins_at,
    -- Up to the hour that runs; of a long history, some hours at a time.
    (
        select
            least(
                if(
                    length(hours) > hours_at_once,
                    hours[1 + hours_at_once],
                    toStartOfHour(now('UTC'))
                ),
                toStartOfHour(now('UTC'))
            )
        from
            (
                select arraySort(groupUniqArray(toStartOfHour(executed_at))) as hours
                from {{ ref("position_ledger") }}
                where toStartOfHour(executed_at) >= begins_at and notEmpty(account)
            )
    ) as hours_until,
    (
        select
            arrayConcat(
                groupUniqArray(toStartOfHour(executed_at)),
                arrayFilter(hour_at -> hour_at < begins_at, late_hours)
            )
        from {{ ref("position_ledger") }}
        where
            toStartOfHour(executed_at) >= begins_at
            and toStartOfHour(executed_at) < hours_until
            and notEmpty(account)
    ) as touched,
    parts as (
        select
            toStartOfHour(executed_at) as hour_at,
            account,
            strategy_id,
            {{ fill_sums() }},
            {%- for sum in sums_of_trades() %} 0 as {{ sum }}, {%- endfor %}
            maxIf(executed_at, event = 'fill') as last_fill_at,
            toDateTime64(0, 6, 'UTC') as last_trade_at,
            1 as is_current
        from {{ ref("position_ledger") }} as ledger final
        where toStartOfHour(executed_at) in (select arrayJoin(touched))
        group by hour_at, account, strategy_id
        union all
        select
            toStartOfHour(traded_at) as hour_at,
            account,
            strategy_id,
            {%- for sum in sums_of_fills() %} 0 as {{ sum }}, {%- endfor %}
            {{ trade_sums() }},
            toDateTime64(0, 6, 'UTC') as last_fill_at,
            max(traded_at) as last_trade_at,
            1 as is_current
        from {{ ref("trade") }} as trade final
        where toStartOfHour(traded_at) in (select arrayJoin(touched))
        group by hour_at, account, strategy_id
        union all
        -- What is there and may be gone.
        select
            hour_at,
            account,
            strategy_id,
            {%- for sum in sums %} 0 as {{ sum }}, {%- endfor %}
            toDateTime64(0, 6, 'UTC') as last_fill_at,
            toDateTime64(0, 6, 'UTC') as last_trade_at,
            0 as is_current
        from {{ ref("strategy_hour") }} final
        where hour_at in (select arrayJoin(touched)) and account != ''
    )
select *, {{ next_revision(ref("strategy_hour"), "hour_at") }} as revision
from
    (
        select
            hour_at,
            account,
            strategy_id,
            {%- for sum in sums %} sum(parts.{{ sum }}) as {{ sum }}, {%- endfor %}
            max(parts.last_fill_at) as last_fill_at,
            max(parts.last_trade_at) as last_trade_at,
            ledger_until as ledger_revision,
            1 - max(is_current) as is_deleted
        from parts
        group by hour_at, account, strategy_id
        union all
        -- The cursor: a row that no reader sees.
        select
            toDateTime(0, 'UTC') as hour_at,
            '' as account,
            '' as strategy_id,
            {%- for sum in sums %} 0 as {{ sum }}, {%- endfor %}
            toDateTime64(hours_until, 6, 'UTC') as last_fill_at,
            toDateTime64(0, 6, 'UTC') as last_trade_at,
            ledger_until as ledger_revision,
            1 as is_deleted
        from system.one
        where (ledger_until, hours_until) != done
    )
