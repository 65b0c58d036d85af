-- Even steps between the first and the last hundredth; what is beyond counts in the outermost.
with
    orders as (
        select arrayJoin([('slippage', slippage_bps), ('shortfall', shortfall_bps)]) as cost
        from quant.api_order_costs(since = {since:DateTime64(3)}, until = {until:DateTime64(3)})
        where
            ({any_strategy:UInt8} or strategy_id = {strategy_id:String})
            and ({any_account:UInt8} or account = {account:String})
    ),
    bounds as (
        select
            cost.1 as kind,
            count() as orders,
            quantilesExactInclusive(0.01, 0.05, 0.5, 0.95, 0.99)(assumeNotNull(cost.2)) as at
        from orders
        where cost.2 is not null
        group by kind
    )
select
    kind,
    any(bounds.orders) as orders,
    any(at) as quantiles,
    any(at[1]) as low,
    any(greatest(at[5] - at[1], 0.01) / {bins:UInt8}) as bin_width,
    sumForEach(
        arrayMap(
            place -> toUInt64(
                place = greatest(
                    0, least({bins:UInt8} - 1, floor((cost.2 - at[1]) / (greatest(at[5] - at[1], 0.01) / {bins:UInt8})))
                )
            ),
            range({bins:UInt8})
        )
    ) as counts
from orders
inner join bounds on orders.cost.1 = bounds.kind
where cost.2 is not null
group by kind
