-- Realized profit minus the cost of what is open equals the money that went in and
-- out, for every key.
select account, strategy_id, symbol, realized, open_cost, paid
from
    (
        select
            account,
            strategy_id,
            symbol,
            sum(gross_realized_pnl) as realized,
            argMax(sign(position_after) * open_cost, ordinal) as open_cost,
            sum(sign(signed_quantity) * notional) as paid,
            sum(notional) as traded
        from {{ ref("position_ledger") }} final
        group by account, strategy_id, symbol
    )
-- Float64 carries the average cost: a trillionth of the money that moved, and a
-- millionth at least.
where
    abs(toFloat64(realized - open_cost + paid))
    > greatest(1e-6, 1e-12 * toFloat64(traded))
