-- Of the last transitions a fingerprint: their number stays when one comes as another grows old.
select
    (select maxOrNull(as_of) from quant.quant_metrics_latest) as as_of,
    (
        select sum(cityHash64(alert_id, state, transition_at))
        from quant.quant_alerts
        where transition_at > now64(3) - toIntervalSecond({alert_seconds:UInt32})
    ) as transitions
