{{ config(contract={"enforced": false}) }}
with {{ known_constants() }},
values as ({{ position_values() }})
select
    toString(strategy_id) as strategy_id,
    toString(account) as account,
    toString(symbol) as symbol,
    toFloat64(quantity) as quantity,
    toFloat64(open_cost / abs(quantity)) as average_cost,
    if(values.mark .1 = '', null, toFloat64(values.mark .2)) as mark_price,
values
    .mark .1 as mark_source,
    if(mark_source = '', null, toFloat64(value)) as market_value,
    if(mark_source = '', null, toFloat64(gain)) as unrealized_pnl
from
    (
        select *, market_value as value, unrealized_pnl as gain
        from (select *, {{ position_terms() }} from values)
    ) as
values
where edge = 0
