-- Of all episodes ever only those that are told are put together: first the newest by what a transition says of them.
with wanted as (
    select alert_id
    from quant.quant_alerts
    where
        ({state:String} = 'all' or ({state:String} = 'resolved' and state = 'resolved'))
        and {severity:String} in ('', severity)
        and {metric:String} in ('', metric_name)
        and {window:String} in ('', window)
        and ({any_strategy:UInt8} or strategy_id = {strategy_id:String})
        and ({any_account:UInt8} or account = {account:String})
        and opened_at <= {until:DateTime64(3)}
        and transition_at >= {since:DateTime64(3)}
    group by alert_id
    order by max(opened_at) desc, alert_id
    limit {limit:UInt32}
)
select *
from quant.api_alerts
where
    alert_id in (
        select alert_id from wanted
        union all
        select alert_id from quant.alert_state where alert_id != ''
    )
    and multiIf(
        {state:String} = 'all', true, {state:String} = 'active', state != 'resolved', state = {state:String}
    )
    and {severity:String} in ('', severity)
    and {metric:String} in ('', metric_name)
    and {window:String} in ('', window)
    and ({any_strategy:UInt8} or strategy_id = {strategy_id:String})
    and ({any_account:UInt8} or account = {account:String})
    and opened_at <= {until:DateTime64(3)}
    and ifNull(resolved_at, now64(3)) >= {since:DateTime64(3)}
order by opened_at desc, alert_id
limit {limit:UInt32}
