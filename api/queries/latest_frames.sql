select *
from quant.api_metric_frames_latest
where (strategy_id, account, window) in {scopes:Array(Tuple(String, String, String))}
order by metric_name
