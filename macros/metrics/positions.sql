{# Rows (strategy_id, account, window_edge): the positions of a scope at the end and at the start of every window. #}
{% macro scope_positions() %}
    select
        scope .1 as strategy_id,
        scope .2 as account,
        window_edge,
        max(last_fill_at) as last_fill_at,
        sum(direction * toInt64(ordinal)) as fills,
        sum(direction * cumulative_realized_pnl) as realized_pnl,
        sum(direction * cumulative_fee) as fees,
        sum(direction * cumulative_notional) as notional,
        sum(direction * cumulative_feeless_notional) as feeless_notional,
        sumIf(unrealized_pnl, edge = 0) as end_unrealized_pnl,
        sumIf(unrealized_pnl, edge > 0) as start_unrealized_pnl,
        countIf(edge = 0 and quantity != 0) as open_positions,
        sumIf(abs(market_value), edge = 0) as gross_value,
        sumIf(market_value, edge = 0) as net_value,
        groupUniqArrayIf(symbol, edge = 0 and is_unpriced) as end_unpriced,
        groupUniqArrayIf(symbol, edge > 0 and is_unpriced) as start_unpriced,
        groupUniqArrayIf(mark .1, edge = 0 and quantity != 0) as mark_sources
    from
        (
            select
                *,
                quantity != 0 and mark .1 = '' as is_unpriced,
                toDecimal128(quantity * mark .2, 12) as market_value,
                if(
                    quantity = 0, 0, market_value - sign(quantity) * open_cost
                ) as unrealized_pnl,
                -- The state at the end adds to every window, the one at its
                -- start is taken off.
                if(edge = 0, 1, -1) as direction,
                arrayJoin(
                    if(edge = 0, range(toUInt8(1), toUInt8(8)), [edge])
                ) as window_edge,
                arrayJoin(
                    {{ scopes("toString(strategy_id)", "toString(account)") }}
                ) as scope
            from ({{ position_values() }})
        )
    group by strategy_id, account, window_edge
{% endmacro %}

{# Rows (account, strategy_id, symbol, edge, ...): the ledger's state of every key at the end (edge 0) and at the start of
   every window (edges 1 to 7), with a mark for each.

   The mark is the mid of a quote not older than a minute of trading time, else the close of such a bar, else the later
   of the account's last trade in the instrument and the price in its last position snapshot. #}
{% macro position_values() %}
    select
        states.account as account,
        states.strategy_id as strategy_id,
        states.symbol as symbol,
        states.edge as edge,
        states.ordinal as ordinal,
        states.executed_at as last_fill_at,
        states.quantity as quantity,
        states.open_cost as open_cost,
        states.cumulative_realized_pnl as cumulative_realized_pnl,
        states.cumulative_fee as cumulative_fee,
        states.cumulative_notional as cumulative_notional,
        states.cumulative_feeless_notional as cumulative_feeless_notional,
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

{# The ledger row of every key that stood last at each edge, with the account's last trade in the instrument. #}
{% macro position_states() %}
    select
        last_fills.edge as edge,
        ledger.account as account,
        last_fills.calendar as calendar,
        ledger.strategy_id as strategy_id,
        ledger.symbol as symbol,
        ledger.ordinal as ordinal,
        ledger.executed_at as executed_at,
        ledger.position_after as quantity,
        ledger.open_cost as open_cost,
        ledger.cumulative_realized_pnl as cumulative_realized_pnl,
        ledger.cumulative_fee as cumulative_fee,
        ledger.cumulative_notional as cumulative_notional,
        ledger.cumulative_feeless_notional as cumulative_feeless_notional,
        max(ledger.executed_at) over instrument as traded_at,
        argMax(
            ledger.price, (ledger.executed_at, ledger.sequence, ledger.fill_id)
        ) over instrument as traded_price
    from {{ ref("position_ledger") }} as ledger final
    inner join
        (
            select
                account,
                calendar,
                strategy_id,
                symbol,
                last_fill .1 as edge,
                last_fill .2 as ordinal
            from
                (
                    select
                        ledger.account as account,
                        any(edge.calendar) as calendar,
                        ledger.strategy_id as strategy_id,
                        ledger.symbol as symbol,
                        arrayJoin(
                            arrayZip(
                                range(toUInt8(8)),
                                maxForEach(
                                    arrayMap(
                                        moment -> if(
                                            ledger.executed_at <= moment,
                                            ledger.ordinal,
                                            0
                                        ),
                                        edge.moments
                                    )
                                )
                            )
                        ) as last_fill
                    from {{ ref("position_ledger") }} as ledger final
                    inner join
                        ({{ account_moments() }}) as edge
                        on ledger.account = edge.account
                    where ledger.executed_at <= {{ as_of() }}
                    group by account, strategy_id, symbol
                )
            where last_fill .2 > 0
        ) as last_fills
        on ledger.account = last_fills.account
        and ledger.strategy_id = last_fills.strategy_id
        and ledger.symbol = last_fills.symbol
        and ledger.ordinal = last_fills.ordinal
    where ledger.executed_at <= {{ as_of() }}
    window instrument as (partition by ledger.account, ledger.symbol, last_fills.edge)
{% endmacro %}

{# Rows (calendar, edge, symbol): what the market showed last at each edge, 0 where nothing recent enough is there. #}
{% macro market_rows() %}
    {% if is_live() and model.name != "pending_live_market" %}
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
                    where toStartOfMinute(quoted_at) in (select arrayJoin(minutes))
                    union all
                    select
                        toString(symbol) as symbol,
                        close as price,
                        bar_at as begins_at,
                        closed_at as known_at,
                        sequence,
                        false as is_quote
                    from {{ ref("stg_torghut__ta_bars") }}
                    where toStartOfMinute(bar_at) in (select arrayJoin(minutes))
                )
        )
    group by calendar, edge, symbol
{% endmacro %}

{# What snapshot_marks gives, from the stage that stores it where there is one. #}
{% macro holding_rows() %}
    {% if is_live() %} {{ stage_rows("live_holding") }}
    {% else %} {{ snapshot_marks() }}
    {% endif %}
{% endmacro %}

{# The prices of the account's last position snapshot at each edge. #}
{% macro snapshot_marks() %}
    select
        account,
        edge,
        taken_at as snapshot_at,
        position .1 as symbol,
        position .2 as price
    from
        (
            select
                snapshot.account as account,
                moment.edge as edge,
                max(snapshot.snapshot_at) as taken_at,
                argMax(
                    arrayZip(snapshot.position_symbols, snapshot.position_prices),
                    snapshot.snapshot_at
                ) as positions
            from {{ ref("position_snapshot_fact") }} as snapshot final
            inner join
                ({{ edge_rows() }}) as moment on snapshot.account = moment.account
            where
                snapshot.snapshot_at <= moment.edge_at
                and (snapshot.account, snapshot.snapshot_at) in (
                    select
                        account,
                        arrayJoin(
                            maxForEach(
                                arrayMap(
                                    moment -> if(
                                        snapshot_at <= moment,
                                        snapshot_at,
                                        toDateTime64(0, 6, 'UTC')
                                    ),
                                    moments
                                )
                            )
                        )
                    from {{ ref("position_snapshot_fact") }}
                    inner join ({{ account_moments() }}) as edge using (account)
                    where snapshot_at <= {{ as_of() }}
                    group by account
                )
            group by account, edge
        )
    array join positions as position
{% endmacro %}
