{{ config(contract={"enforced": false}) }}
select
    toString(account) as account,
    toDate(grid_at) as day,
    count() as points,
    countIf(grid.residual is null) as unknown_points,
    toFloat64(sum(grid.flow)) as flow,
    toFloat64(sumIf(grid.strategies_pnl, grid.residual is not null)) as strategies_pnl,
    toFloat64(sum(grid.residual)) as residual,
    toFloat64(argMax(grid.equity, grid_at)) as equity,
    10000 * residual / nullIf(equity, 0) as residual_bps
from {{ ref("account_equity_grid") }} as grid
where grid_at > {since:DateTime64(3)} and grid_at <= {until:DateTime64(3)}
group by account, day
