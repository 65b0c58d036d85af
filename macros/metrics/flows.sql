{# Rows (strategy_id, account, window_edge): what the fills and the trades of a scope add up to inside every window.

   A trade is all closing fills of one order in one instrument, stamped at the last of them, its profit net of its own
   and of the entry's share of fees.

   Hours that lie in the same windows are summed up before they are counted into each of them and into the four scopes:
   row by row, the month of 200 strategy-accounts was 2.7 million rows. #}
{% macro scope_flows() %}
    {%- set of_fills = sums_of_fills() -%} {%- set of_trades = sums_of_trades() -%}
    {%- set sums = of_fills + of_trades -%}
    with
        {{ rolled_until() }}
        least(rolled_until, toStartOfHour({{ as_of() }})) as hours_until,
        {{ edge_hours() }} as edge_hours,
        {%- if not is_live() %} {{ orders_under_way() }} as under_way, {%- endif %}
        parts as (
            select
                account,
                strategy_id,
                executed_at as at,
                toStartOfHour(executed_at) as hour_at,
                'row' as kind,
                {{ fill_sums() }},
                {%- for sum in of_trades %} 0 as {{ sum }}, {%- endfor %}
                toDateTime64(0, 6, 'UTC') as last_trade_at,
                max(executed_at) as last_fill_at
            from
                {{ known_ledger(is_unrolled("executed_at") ~ " and executed_at <= " ~ as_of()) }}
                and event = 'fill'
            group by account, strategy_id, at
            union all
            select
                account,
                strategy_id,
                traded_at as at,
                toStartOfHour(traded_at) as hour_at,
                'row' as kind,
                {%- for sum in of_fills %} 0 as {{ sum }}, {%- endfor %}
                {{ trade_sums() }},
                max(traded_at) as last_trade_at,
                toDateTime64(0, 6, 'UTC') as last_fill_at
            from {{ ref("trade") }} as trade final
            where
                {{ is_unrolled("traded_at") }}
                and traded_at <= {{ as_of() }}
                and {{ is_known("trades", "intDiv(revision, 2)") }}
                -- A closing fill that comes while a tick reads had the trade counted
                -- twice: as it was, and as one under way.
                and order_id not in (select arrayJoin(under_way .1))
            group by account, strategy_id, at
            union all
            -- Trades that went on later, as they were.
            select
                account,
                strategy_id,
                at,
                toStartOfHour(at) as hour_at,
                'trade' as kind,
                {%- for sum in of_fills %} 0 as {{ sum }}, {%- endfor %}
                {{ trade_sums() }},
                max(at) as last_trade_at,
                toDateTime64(0, 6, 'UTC') as last_fill_at
            from ({{ trades_under_way() }}) as trade
            group by account, strategy_id, at
            union all
            select
                account,
                strategy_id,
                toDateTime64(hour_at, 6, 'UTC') as at,
                hour_at,
                'hour' as kind,
                {%- for sum in sums %} {{ sum }}, {%- endfor %}
                last_trade_at,
                last_fill_at
            from {{ ref("strategy_hour") }} final
            where
                hour_at < hours_until
                -- Where a late fill lies before all windows, also the hours before it
                -- of that day: strategy_day tells of whole days.
                and hour_at >= least(
                    arrayMin(edge_hours) + interval 1 hour, toStartOfDay(hours_until)
                )
            union all
            select
                account,
                strategy_id,
                toDateTime64(0, 6, 'UTC') as at,
                toDateTime(0, 'UTC') as hour_at,
                'last' as kind,
                {%- for sum in sums %} 0 as {{ sum }}, {%- endfor %}
                toDateTime64(0, 6, 'UTC') as last_trade_at,
                max(strategy_day.last_fill_at) as last_fill_at
            from {{ ref("strategy_day") }} as strategy_day final
            where
                strategy_day.day_at + interval 1 day <= hours_until
                and strategy_day.account != ''
            group by account, strategy_id
        )
    select
        scope .1 as strategy_id,
        scope .2 as account,
        window_edge,
        {%- for sum in sums %} sumIf({{ sum }}, is_inside) as {{ sum }}, {%- endfor %}
        maxIf(own.last_trade_at, is_inside) as last_trade_at,
        max(own.last_fill_at) as last_fill_at
    from
        (
            select
                *,
                arrayJoin(range(toUInt8(1), toUInt8(8))) as window_edge,
                has(inside, window_edge) as is_inside,
                arrayJoin({{ scopes("strategy", "member") }}) as scope
            from
                (
                    select
                        toString(parts.strategy_id) as strategy,
                        toString(parts.account) as member,
                        arrayFilter(
                            (number, start_at) -> multiIf(
                                kind = 'trade',
                                at > start_at,
                                kind = 'row',
                                at > start_at
                                and (
                                    hour_at >= rolled_until
                                    or hour_at = toStartOfHour(start_at)
                                    or hour_at = toStartOfHour({{ as_of() }})
                                ),
                                kind = 'hour',
                                hour_at > toStartOfHour(start_at),
                                false
                            ),
                            range(toUInt8(1), toUInt8(8)),
                            arraySlice(edge.moments, 2)
                        ) as inside,
                        {%- for sum in sums %}
                            sum(parts.{{ sum }}) as {{ sum }},
                        {%- endfor %}
                        max(parts.last_trade_at) as last_trade_at,
                        max(parts.last_fill_at) as last_fill_at
                    from parts
                    inner join
                        ({{ account_moments() }}) as edge
                        on parts.account = edge.account
                    group by strategy, member, inside
                )
        ) as own
    group by strategy_id, account, window_edge
{% endmacro %}

{# Orders with closing fills on both sides of the moment of evaluation, or of what was known, and the first of them. #}
{% macro orders_under_way() %}
    (
        select (groupUniqArray(order_id), min(first_closed_at))
        from
            (
                select order_id, first_closed_at
                from {{ ref("trade") }} final
                where first_closed_at <= {{ as_of() }} and traded_at > {{ as_of() }}
                union all
                -- Also those that are not there any more, or began elsewhere: none
                -- of their rows changed before the hours that are read row by row.
                select order_id, least(first_closed_at, rolled_until)
                from {{ ref("trade") }}
                where
                    not {{ is_known("trades", "intDiv(revision, 2)") }}
                    and notEmpty(account)
            )
    )
{% endmacro %}

{# Their trades, of the closing fills before it; `under_way` names the constant of `orders_under_way`. #}
{% macro trades_under_way() %}
    select
        account,
        strategy_id,
        max(executed_at) as at,
        sum(gross_realized_pnl) as gross_pnl,
        sum(ledger.closing_fee) as closing_fee,
        sum(toFloat64(closed_quantity) * ledger.holding_seconds)
        / toFloat64(sum(closed_quantity)) as holding_seconds
    from
        {{
            known_ledger(
                "notEmpty(under_way .1) and toStartOfHour(executed_at) >= toStartOfHour(under_way .2)"
                ~ " and executed_at <= " ~ as_of(),
                "trades",
            )
        }}
        and order_id in (select arrayJoin(under_way .1))
        and closed_quantity > 0
    group by account, strategy_id, symbol, order_id
{% endmacro %}
