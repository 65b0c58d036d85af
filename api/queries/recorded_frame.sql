-- What was last said of each metric, unless nothing was said for longer than the series is ever silent.
select
    * replace(
        freshness_seconds + dateDiff('millisecond', as_of, toDateTime64({as_of:DateTime64(3)}, 3, 'UTC')) / 1000
        as freshness_seconds
    )
from quant.api_metric_series
where
    strategy_id = {strategy_id:String}
    and account = {account:String}
    and window = {window:String}
    and as_of <= {as_of:DateTime64(3)}
    and as_of > {as_of:DateTime64(3)} - toIntervalSecond({pause:UInt32})
order by metric_name, as_of desc
limit 1 by metric_name
