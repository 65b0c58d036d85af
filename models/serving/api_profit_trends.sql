{{ config(contract={"enforced": false}) }}
with
    values as (
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
                + minutes.unrealized_pnl
            ) as profit
        from {{ ref("strategy_minute") }} as minutes final
        where
            strategy_id != ''
            and grid_at > {since:DateTime64(3)}
            and grid_at <= {until:DateTime64(3)}
        union all
        select '' as strategy_id, toString(account), grid_at, toFloat64(equity)
        from {{ ref("equity_minute") }} final
        where
            account != ''
            and grid_at > {since:DateTime64(3)}
            and grid_at <= {until:DateTime64(3)}
    )
select
    strategy_id,
    account,
    toStartOfInterval(
        toDateTime(grid_at, 'UTC'), toIntervalSecond({step:UInt32})
    ) as point_at,
    argMin(values.profit, grid_at) as first_profit,
    argMax(values.profit, grid_at) as profit
from
values
group by strategy_id, account, point_at
