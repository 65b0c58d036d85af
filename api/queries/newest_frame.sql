select maxOrNull(as_of) as as_of from quant.quant_metrics_latest
