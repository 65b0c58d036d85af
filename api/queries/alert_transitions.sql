select *
from
    (
        select
            transition_at as at, toString(state) as state, observed, toString(reason) as reason, '' as actor
        from quant.quant_alerts final
        where alert_id = {alert_id:String}
        union all
        select acted_at as at, toString(action) as state, null as observed, reason, actor
        from quant.alert_action
        where alert_id = {alert_id:String}
    )
order by at
