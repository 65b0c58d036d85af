select *
from quant.api_metric_frames_latest
where
    (strategy_id, account, window) in {scopes:Array(Tuple(String, String, String))}
    and (
        (metric_name in {light:Array(String)} and changed_at > {light_since:DateTime64(3)})
        or (metric_name in {medium:Array(String)} and changed_at > {medium_since:DateTime64(3)})
        or (metric_name in {heavy:Array(String)} and changed_at > {heavy_since:DateTime64(3)})
    )
