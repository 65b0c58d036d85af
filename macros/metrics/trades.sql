{# Rows (strategy_id, account, window_edge): the trades of a scope inside every window. #}
{% macro scope_trades() %}
    select
        scope .1 as strategy_id,
        scope .2 as account,
        window_edge,
        count() as trades,
        -- A win or a loss is more than half of the last decimal place of money.
        countIf(pnl > 0.0000005) as wins,
        countIf(pnl < -0.0000005) as losses,
        max(traded_at) as last_trade_at
    from
        (
            select
                trade.*,
                arrayJoin(
                    arrayFilter(
                        number -> edge.moments[number + 1] < trade.traded_at,
                        range(toUInt8(1), toUInt8(8))
                    )
                ) as window_edge,
                arrayJoin(
                    {{ scopes("toString(trade.strategy_id)", "toString(trade.account)") }}
                ) as scope
            from ({{ trades() }}) as trade
            inner join ({{ account_moments() }}) as edge on trade.account = edge.account
        )
    group by strategy_id, account, window_edge
{% endmacro %}

{# Rows (strategy_id, account, traded_at, pnl): the trades up to the moment of evaluation.

   A trade is all closing fills of one order in one instrument, stamped at the last of them, its profit net of its own and
   of the entry's share of fees. #}
{% macro trades() %}
    select
        strategy_id,
        account,
        max(executed_at) as traded_at,
        sum(gross_realized_pnl - closing_fee) as pnl
    from {{ ref("position_ledger") }} final
    where closed_quantity > 0 and executed_at <= {{ as_of() }}
    group by strategy_id, account, symbol, order_id
{% endmacro %}
