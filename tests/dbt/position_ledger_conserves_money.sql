{{ config(meta={"repair": "rebuild_ledger"}) }}
-- Realized profit minus the cost of what is open equals the money that went in and
-- out, for every key, to the last digit.
select account, strategy_id, symbol, realized, open_cost, paid
from
    (
        select
            account,
            strategy_id,
            symbol,
            sum(gross_realized_pnl) as realized,
            argMax(sign(position_after) * open_cost, ordinal) as open_cost,
            sum(sign(signed_quantity) * notional) as paid
        from {{ ref("position_ledger") }} final
        group by account, strategy_id, symbol
    )
where realized - open_cost + paid != 0
