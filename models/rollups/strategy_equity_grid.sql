{{ config(materialized="view", contract={"enforced": false}) }}
with
    points as (
        select
            *,
            realized_pnl - fees as net_realized,
            lagInFrame(unrealized_pnl, 1, toDecimal128(0, 12)) over arrival
            as unrealized_before,
            lagInFrame(unpriced_positions, 1, toUInt64(0)) over arrival
            as unpriced_before
        from {{ ref("strategy_minute") }} final
        where strategy_id != ''
        window
            arrival as (
                partition by account, strategy_id
                order by grid_at
                rows between 1 preceding and current row
            )
    )
select
    account,
    strategy_id,
    grid_at,
    fills,
    realized_pnl,
    fees,
    feeless_notional,
    unrealized_pnl,
    open_positions,
    unpriced_positions,
    -- Without a price at either end there is no value, and none is guessed.
    if(
        unpriced_positions > 0 or unpriced_before > 0,
        null,
        net_realized + unrealized_pnl - unrealized_before
    ) as pnl,
    sum(net_realized) over (
        partition by account, strategy_id
        order by grid_at
        rows between unbounded preceding and current row
    )
    + unrealized_pnl as cumulative_pnl
from points
