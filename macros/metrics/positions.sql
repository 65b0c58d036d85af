{# Rows (strategy_id, account, window_edge): the positions of a scope at the end and at the start of every window.

   Summed up in steps: a strategy's positions once for its four scopes, and the end of a window once for all windows. Row
   by row, summing up 145,000 positions of 200 accounts took 1.9 s of a tick on one thread; so it takes 0.3 s. #}
{% macro scope_positions() %}
    select
        strategy_id,
        account,
        window_edge,
        sumIf(unrealized_pnl, edge = 0) as end_unrealized_pnl,
        sumIf(unrealized_pnl, edge > 0) as start_unrealized_pnl,
        sumIf(positions, edge = 0) as open_positions,
        sumIf(gross_value, edge = 0) as gross_value,
        sumIf(net_value, edge = 0) as net_value,
        anyIf(ledger_values, edge = 0) as ledger_values,
        anyIf(unpriced, edge = 0) as end_unpriced,
        anyIf(unpriced, edge > 0) as start_unpriced,
        anyIf(mark_sources, edge = 0) as mark_sources
    from
        (
            select
                *,
                arraySum(arrayMap(value -> abs(value), holdings .2)) as gross_value,
                arraySum(holdings .2) as net_value,
                arrayJoin(
                    if(edge = 0, range(toUInt8(1), toUInt8(8)), [edge])
                ) as window_edge
            from
                (
                    select
                        scope .1 as strategy_id,
                        scope .2 as account,
                        edge,
                        sum(own.unrealized_pnl) as unrealized_pnl,
                        sum(own.positions) as positions,
                        -- What strategies hold of an instrument adds up within an
                        -- account.
                        sumMap(held, values) as holdings,
                        sumMap(symbols, values) as ledger_values,
                        arraySort(groupUniqArrayArray(own.unpriced)) as unpriced,
                        arraySort(groupUniqArrayArray(sources)) as mark_sources
                    from
                        (
                            select
                                *,
                                arrayMap(
                                    symbol -> concat(member, ' ', symbol), symbols
                                ) as held,
                                arrayJoin({{ scopes("strategy", "member") }}) as scope
                            from ({{ strategy_positions() }})
                        ) as own
                    group by strategy_id, account, edge
                )
        )
    group by strategy_id, account, window_edge
{% endmacro %}

{# Rows (strategy, member, edge): what a strategy holds on an account, an entry of its arrays for each position at the end
   of the windows. #}
{% macro strategy_positions() %}
    select
        toString(strategy_id) as strategy,
        toString(account) as member,
        edge,
        sum(valued.unrealized_pnl) as unrealized_pnl,
        count() as positions,
        groupArrayIf(toString(symbol), edge = 0) as symbols,
        groupArrayIf(market_value, edge = 0) as
    values
        ,
        groupUniqArrayIf(toString(symbol), mark .1 = '') as unpriced,
        groupUniqArrayIf(mark .1, edge = 0) as sources
    from (select *, {{ position_terms() }} from ({{ position_values() }})) as valued
    group by strategy_id, account, edge
{% endmacro %}

{# What a position is worth by its mark, and what it gained since it was opened. #}
{% macro position_terms() -%}
    toDecimal128(quantity * mark .2, 12) as market_value,
    market_value - sign(quantity) * open_cost as unrealized_pnl
{%- endmacro %}

{# Rows (account, strategy_id, symbol, edge, ...): every open position at the end (edge 0) and at the start of every
   window (edges 1 to 7), with a mark for each.

   The mark is the mid of a quote not older than a minute of trading time, else the close of such a bar, else the later
   of the account's last trade in the instrument and the price in its last position snapshot. #}
{% macro position_values() %}
    select
        states.account as account,
        states.strategy_id as strategy_id,
        states.symbol as symbol,
        states.edge as edge,
        states.quantity as quantity,
        states.open_cost as open_cost,
        multiIf(
            market.mid > 0,
            ('mid', assumeNotNull({{ money("market.mid") }})),
            market.close > 0,
            ('bar', assumeNotNull({{ money("market.close") }})),
            holdings.price > 0 and holdings.snapshot_at >= states.traded_at,
            ('snapshot', assumeNotNull(holdings.price)),
            states.traded_price > 0,
            ('trade', states.traded_price),
            ('', toDecimal128(0, 12))
        ) as mark
    from ({{ position_states() }}) as states
    left join
        ({{ market_rows() }}) as market
        on states.calendar = market.calendar
        and states.edge = market.edge
        and states.symbol = market.symbol
    left join
        ({{ holding_rows() }}) as holdings
        on states.account = holdings.account
        and states.edge = holdings.edge
        and states.symbol = holdings.symbol
{% endmacro %}

{# Every open position at each edge, with the account's last trade in the instrument: where the last hour left it that
   was summed up and in which anything happened, and what happened since.

   Only fills since then are compared by tuples; the 155,000 rows of hours of 200 accounts as well took 0.3 s of a tick. #}
{% macro position_states() %}
    with
        {{ rolled_until() }}
        {{ edge_hours() }} as edge_hours,
        -- Per account: the edges, and the hour in position_hour that each goes on from.
        accounts as (
            select
                edge.account as account,
                any(edge.calendar) as calendar,
                any(edge.edges) as edges,
                any(edge.moments) as moments,
                maxForEach(
                    arrayMap(
                        before -> {{ last_hour_before("before") }}, edge.hours_before
                    )
                ) as base_hours
            from
                (
                    select
                        *,
                        arrayMap(
                            moment -> least(rolled_until, toStartOfHour(moment)),
                            moments
                        ) as hours_before
                    from ({{ account_moments() }})
                ) as edge
            left join
                (
                    select account, day_at, active_hours
                    from {{ ref("strategy_day") }} final
                    where account != ''
                ) as day
                on edge.account = day.account
            group by account
        )
    select
        account,
        calendar,
        newest .1 as strategy_id,
        symbol,
        edge,
        newest .3 as quantity,
        newest .4 as open_cost,
        traded_at,
        traded_price
    from
        (
            select
                rows.account as account,
                rows.calendar as calendar,
                rows.symbol as symbol,
                rows.edge as edge,
                argMax(rows.traded_at, rows.is_since) as traded_at,
                argMax(rows.traded_price, rows.is_since) as traded_price,
                groupArray(
                    (rows.strategy_id, rows.is_since, rows.quantity, rows.open_cost)
                ) as versions,
                -- Of a strategy, what happened since goes before where the hour left
                -- it.
                arrayFilter(
                    version -> version .2
                    or not has(
                        arrayMap(one -> one .1, arrayFilter(one -> one .2, versions)),
                        version .1
                    ),
                    versions
                ) as holdings
            from
                (
                    select
                        account,
                        calendar,
                        strategy_id,
                        symbol,
                        edge,
                        true as is_since,
                        newest .3 as quantity,
                        newest .4 as open_cost,
                        (max(newest) over instrument) .1 .1 as traded_at,
                        (max(newest) over instrument) .2 as traded_price
                    from
                        (
                            select
                                accounts.account as account,
                                accounts.calendar as calendar,
                                ledger.strategy_id as strategy_id,
                                ledger.symbol as symbol,
                                accounts.edges[
                                    arrayJoin(
                                        arrayFilter(
                                            place -> ledger.executed_at
                                            <= accounts.moments[place]
                                            and toStartOfHour(ledger.executed_at)
                                            > accounts.base_hours[place],
                                            arrayEnumerate(accounts.moments)
                                        )
                                    )
                                ] as edge,
                                max(
                                    (
                                        (
                                            ledger.executed_at,
                                            ledger.sequence,
                                            ledger.fill_id
                                        ),
                                        ledger.price,
                                        ledger.position_after,
                                        ledger.open_cost
                                    )
                                ) as newest
                            from
                                (
                                    select *
                                    from
                                        {{
                                            known_ledger(
                                                is_unrolled("executed_at")
                                                ~ " and executed_at <= " ~ as_of()
                                            )
                                        }}
                                ) as ledger
                            inner join accounts on ledger.account = accounts.account
                            group by account, calendar, strategy_id, symbol, edge
                        )
                    window instrument as (partition by account, symbol, edge)
                    union all
                    select
                        accounts.account as account,
                        accounts.calendar as calendar,
                        base.strategy_id as strategy_id,
                        base.symbol as symbol,
                        accounts.edges[
                            arrayJoin(
                                arrayFilter(
                                    place -> base.hour_at = accounts.base_hours[place],
                                    arrayEnumerate(accounts.moments)
                                )
                            )
                        ] as edge,
                        false as is_since,
                        base.quantity as quantity,
                        base.open_cost as open_cost,
                        base.traded_at as traded_at,
                        base.traded_price as traded_price
                    from
                        (
                            select *
                            from {{ ref("position_hour") }} final
                            where
                                (hour_at, account)
                                in (select arrayJoin(base_hours), account from accounts)
                        ) as base
                    inner join accounts on base.account = accounts.account
                ) as rows
            group by account, calendar, symbol, edge
        )
    array join holdings as newest
    where newest .3 != 0
{% endmacro %}

{# Rows (calendar, edge, symbol): what the market showed last at each edge, 0 where nothing recent enough is there. #}
{% macro market_rows() %}
    {% if is_grid() %} {{ market_at_grid() }}
    {% elif is_live() and model.name != "pending_live_market" %}
        {{ stage_rows("live_market") }}
    {% else %} {{ market_at_edges() }}
    {% endif %}
{% endmacro %}

{# The last mid and the last close of a bar at each edge, per calendar and symbol, of those that still count there.

   The edges are one constant for both sources, and the minutes in which a quote or bar may lie are looked up in the
   sorting key of the sources before any row is compared with an edge. #}
{% macro market_at_edges() %}
    with
        (
            select groupUniqArray((calendar, edge, quotes_from, edge_at))
            from ({{ edge_rows() }})
        ) as bounds,
        arrayDistinct(
            arrayFlatten(
                arrayMap(
                    bound -> [toStartOfMinute(bound .3), toStartOfMinute(bound .4)],
                    bounds
                )
            )
        ) as minutes
    select
        bound .1 as calendar,
        bound .2 as edge,
        symbol,
        argMaxIf(price, (known_at, sequence), is_quote) as mid,
        argMaxIf(price, (known_at, sequence), not is_quote) as close
    from
        (
            select
                *,
                arrayJoin(
                    arrayFilter(
                        bound -> begins_at >= bound .3 and known_at <= bound .4, bounds
                    )
                ) as bound
            from
                (
                    select
                        toString(symbol) as symbol,
                        mid as price,
                        quoted_at as begins_at,
                        quoted_at as known_at,
                        sequence,
                        true as is_quote
                    from {{ ref("stg_torghut__ta_quotes") }}
                    where
                        toStartOfMinute(quoted_at) in (select arrayJoin(minutes))
                        and {{ is_ingested("ingested_at") }}
                    union all
                    select
                        toString(symbol) as symbol,
                        close as price,
                        bar_at as begins_at,
                        closed_at as known_at,
                        sequence,
                        false as is_quote
                    from {{ ref("stg_torghut__ta_bars") }}
                    where
                        toStartOfMinute(bar_at) in (select arrayJoin(minutes))
                        and {{ is_ingested("ingested_at") }}
                )
        )
    group by calendar, edge, symbol
{% endmacro %}

{# What snapshot_marks gives, from the stage that stores it where there is one. #}
{% macro holding_rows() %}
    {% if is_live() and not is_grid() %} {{ stage_rows("live_holding") }}
    {% else %} {{ snapshot_marks() }}
    {% endif %}
{% endmacro %}

{# The prices of the account's last position snapshot at each edge.

   It is looked for in the hour of the edge and in the last one before it that has any: among all snapshots of 20 days,
   finding it for 200 accounts took 0.15 s, and more with every day. Where a source removes every snapshot of that hour,
   a tick does not find the one before. A moment of the past asks what was known then, which the hours do not tell: it
   looks through all snapshots of the accounts of which none was known in those hours. #}
{% macro snapshot_marks() %}
    with
        (
            select groupArray((account, moments))
            from
                (
                    {{ last_snapshot_moments("(toStartOfHour(snapshot_at), account) in (" ~ hours_of_last_snapshots() ~ ")") }}
                )
        ) as found
    select
        edge.account as account,
        edge.edge as edge,
        snapshot.snapshot_at as snapshot_at,
        position .1 as symbol,
        position .2 as price
    from
        (
            select account, edge, toDateTime64(edge_at, 6, 'UTC') as at
            from ({{ edge_rows() }})
        ) as edge
    asof inner join
        (
            select
                account,
                snapshot_at,
                arrayZip(position_symbols, position_prices) as positions
            from {{ ref("position_snapshot_fact") }} final
            where
                (toStartOfHour(snapshot_at), account, snapshot_at) in (
                    select toStartOfHour(at), account, at
                    from
                        (
                            select one .1 as account, arrayJoin(one .2) as at
                            from (select arrayJoin(found) as one)
                            {%- if not is_live() %}
                                union distinct
                                select account, arrayJoin(moments) as at
                                from
                                    (
                                        {{
                                            last_snapshot_moments(
                                                "has(arrayMap(one -> one.1, arrayFilter(one -> has(one.2,"
                                                ~ " toDateTime64(0, 6, 'UTC')), found)), account)"
                                            )
                                        }}
                                    )
                            {%- endif %}
                        )
                )
        ) as snapshot
        on edge.account = snapshot.account
        and edge.at >= snapshot.snapshot_at
    array join snapshot.positions as position
{% endmacro %}

{# Per account, the moments of the last snapshots up to each edge, 1970 for none, of those that a condition lets through. #}
{% macro last_snapshot_moments(condition) %}
    select
        toString(account) as account,
        maxForEach(
            arrayMap(
                moment
                -> if(snapshot_at <= moment, snapshot_at, toDateTime64(0, 6, 'UTC')),
                moments
            )
        ) as moments
    from {{ ref("position_snapshot_fact") }}
    inner join ({{ account_moments() }}) as edge using (account)
    where
        snapshot_at <= {{ as_of() }}
        and {{ is_known("snapshots", "known_from") }}
        and {{ is_asked("account") }}
        and {{ condition }}
    group by account
{% endmacro %}

{# Rows (hour, account): the hours in which the last snapshots before the edges lie. #}
{% macro hours_of_last_snapshots() %}
    select
        arrayJoin(
            arrayConcat(
                any(edge.hours),
                maxForEach(arrayMap(hour -> {{ last_hour_before("hour") }}, edge.hours))
            )
        ),
        edge.account
    from
        (
            select account, arrayMap(moment -> toStartOfHour(moment), moments) as hours
            from ({{ account_moments() }})
        ) as edge
    inner join {{ ref("snapshot_day") }} as day on edge.account = day.account
    group by edge.account
{% endmacro %}
