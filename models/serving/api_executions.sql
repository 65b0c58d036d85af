select
    executed_at,
    fill_id,
    order_id,
    strategy_id,
    account,
    symbol,
    if(signed_quantity < 0, 'sell', 'buy') as side,
    toFloat64(abs(signed_quantity)) as quantity,
    toFloat64(price) as price,
    toFloat64(ledger.notional) as notional,
    toFloat64(fee) as fee,
    toFloat64(position_after) as position_after,
    toFloat64(gross_realized_pnl) as realized_pnl,
    holding_seconds
from {{ ref("position_ledger") }} as ledger final
where event = 'fill'
