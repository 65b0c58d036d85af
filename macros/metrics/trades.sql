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
