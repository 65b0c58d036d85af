select slot, toString(state) as state, detail, lag_bytes, watermark, reported_at, lossy_values
from quant.api_mirrors
order by slot
