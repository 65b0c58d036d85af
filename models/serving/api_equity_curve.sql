{{ config(contract={"enforced": false}) }}
-- A scope without a strategy owns its equity; of a strategy it is the profit that it
-- made, over the equity of its accounts. The same growth as that of the metrics, on a
-- grid of the clock.
with
    members as (
        select
            toString(account) as member, any({{ benchmark_of("account") }}) as benchmark
        from {{ ref("scope_evidence") }}
        where
            account != ''
            and {account:String} in ('', account)
            and {strategy_id:String} in ('', strategy_id)
        group by account
    ),
    (
        select if(uniqExact(benchmark) = 1, any(benchmark), '') from members
    ) as benchmark_symbol,
    (
        select groupArray((account, flowed_at, toFloat64(amount)))
        from {{ ref("cash_flows") }}
    ) as flow_list,
    grid as (
        select
            members.member as member,
            toDateTime(
                toUInt32(
                    arrayJoin(
                        range(
                            intDiv(
                                toUnixTimestamp({since:DateTime64(3)}), {step:UInt32}
                            )
                            * {step:UInt32},
                            toUnixTimestamp({until:DateTime64(3)}) + 1,
                            {step:UInt32}
                        )
                    )
                ),
                'UTC'
            ) as at
        from members
    ),
    equities as (
        select toString(account) as member, grid_at, toFloat64(equity) as equity
        from {{ ref("equity_minute") }} final
        where
            account != ''
            and grid_at > {since:DateTime64(3)} - interval 8 day
            and grid_at <= {until:DateTime64(3)}
    ),
    profits as (
        select
            toString(account) as member,
            grid_at,
            toFloat64(
                sum(realized_pnl - fees) over (
                    partition by account
                    order by grid_at
                    rows between unbounded preceding and current row
                )
                + minutes.unrealized_pnl
            ) as profit
        from {{ ref("strategy_minute") }} as minutes final
        where
            strategy_id = {strategy_id:String}
            and strategy_id != ''
            and grid_at > {since:DateTime64(3)} - interval 8 day
            and grid_at <= {until:DateTime64(3)}
    ),
    valued as (
        select
            grid.at as at,
            min(equities.equity) > 0 as is_known,
            sum(equities.equity) as equity,
            sum(profits.profit) as profit,
            sum(
                arraySum(
                    flow
                    -> if(flow .1 = grid.member and flow .2 <= grid.at, flow .3, 0),
                    flow_list
                )
            ) as flow
        from grid
        asof left join
            equities on grid.member = equities.member and grid.at >= equities.grid_at
        asof left join
            profits on grid.member = profits.member and grid.at >= profits.grid_at
        group by at
    ),
    points as (
        select
            at,
            equity,
            (
                toUnixTimestamp(at),
                is_known,
                if({strategy_id:String} = '', equity, profit),
                equity,
                if({strategy_id:String} = '', flow, 0)
            ) as point,
            lagInFrame(point, 1, point) over arrival as former,
            first_value(point) over arrival as first
        from valued
        where is_known
        window arrival as (order by at rows between unbounded preceding and current row)
    ),
    walked as (
        select
            at,
            equity,
            point .3 - point .5 - first .3 + first .5 as pnl,
            exp(
                sum(log(greatest(1 + {{ growth("former", "point") }}, 1e-12))) over (
                    order by at rows between unbounded preceding and current row
                )
            ) as wealth
        from points
    ),
    prices as (
        select toString(symbol) as symbol, toDateTime(closed_at, 'UTC') as at, close
        from {{ ref("stg_torghut__ta_bars") }}
        where
            symbol = benchmark_symbol
            and bar_at > {since:DateTime64(3)} - interval 4 day
            and bar_at <= {until:DateTime64(3)}
    ),
    compared as (
        select walked.*, prices.close as price
        from (select *, benchmark_symbol as symbol from walked) as walked
        asof left join
            prices on walked.symbol = prices.symbol and walked.at >= prices.at
    )
select
    at,
    equity,
    pnl,
    wealth - 1 as cumulative_return,
    least(wealth / max(wealth) over so_far - 1, 0) as drawdown,
    symbol as benchmark,
    if(
        price > 0 and first_value(price) over so_far > 0,
        price / first_value(price) over so_far - 1,
        null
    ) as benchmark_return
from compared
window so_far as (order by at rows between unbounded preceding and current row)
