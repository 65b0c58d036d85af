{{ config(contract={"enforced": false}) }}
-- A minute of the grid is called by its end.
with
    minutes as (
        select
            toString(strategy_id) as strategy_id,
            toString(account) as account,
            grid_at,
            toFloat64(
                sum(realized_pnl - fees) over (
                    partition by account, strategy_id
                    order by grid_at
                    rows between unbounded preceding and current row
                )
                + grid.unrealized_pnl
            ) as profit
        from {{ ref("strategy_minute") }} as grid final
        where
            strategy_id != ''
            and grid_at >= {since:DateTime64(3)}
            and grid_at <= {until:DateTime64(3)}
        union all
        select '' as strategy_id, toString(account), grid_at, toFloat64(equity)
        from {{ ref("equity_minute") }} final
        where
            account != ''
            and grid_at >= {since:DateTime64(3)}
            and grid_at <= {until:DateTime64(3)}
    )
select
    strategy_id,
    account,
    toStartOfInterval(
        toDateTime(grid_at, 'UTC') - 1, toIntervalSecond({step:UInt32})
    ) as point_at,
    argMin(minutes.profit, grid_at) as first_profit,
    argMax(minutes.profit, grid_at) as profit
from minutes
group by strategy_id, account, point_at
