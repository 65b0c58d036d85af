select
    (select maxOrNull(as_of) from quant.quant_metrics_latest) as as_of,
    (
        select count()
        from quant.quant_alerts
        where transition_at > now64(3) - toIntervalSecond({alert_seconds:UInt32})
    ) as transitions
