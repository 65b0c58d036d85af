select *
from quant.api_alerts
where
    multiIf(
        {state:String} = 'all', true, {state:String} = 'active', state != 'resolved', state = {state:String}
    )
    and {severity:String} in ('', severity)
    and {metric:String} in ('', metric_name)
    and ({window:String} in ('', window))
    and ({any_strategy:UInt8} or strategy_id = {strategy_id:String})
    and ({any_account:UInt8} or account = {account:String})
    and opened_at <= {until:DateTime64(3)}
    and ifNull(resolved_at, now64(3)) >= {since:DateTime64(3)}
order by opened_at desc, alert_id
limit {limit:UInt32}
