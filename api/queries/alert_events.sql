select * except (at)
from
    (
        select
            alert_id,
            if(state = 'resolved', 'quant.alert.resolved', 'quant.alert.opened') as event,
            min(transition_at) as at
        from quant.quant_alerts
        where
            transition_at > {since:DateTime64(3)}
            and (state = 'resolved' or (state = 'open' and opened_at = transition_at))
        group by alert_id, event
    ) as news
inner join
    (
        select *
        from quant.api_alerts
        where alert_id in (select alert_id from quant.quant_alerts where transition_at > {since:DateTime64(3)})
    ) as alert using (alert_id)
order by at, alert_id
