{{ config(materialized="view") }}
select
    snapshot_id,
    account,
    snapshot_at,
    position .1 as symbol,
    position .2 as quantity,
    position .3 as market_value,
    position .4 as price,
    position .5 as entry_price
from {{ ref("position_snapshot_fact") }} final
array join
    arrayZip(
        position_symbols,
        position_quantities,
        position_values,
        position_prices,
        position_entry_prices
    ) as position
