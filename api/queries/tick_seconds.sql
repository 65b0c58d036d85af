-- From midnight on: the counters begin anew each day, which Prometheus takes for a restart.
select
    arrayMap(bucket -> (bucket, arrayCount(taken -> taken <= bucket * 1000, ticks)), {buckets:Array(Float64)}) as counts,
    length(ticks) as total,
    arraySum(ticks) / 1000 as seconds
from (select groupArray(taken_ms) as ticks from quant.api_ticks where as_of >= toStartOfDay(now('UTC')))
