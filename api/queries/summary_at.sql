-- As the series kept it: what was last said of each metric, unless nothing was said for longer than it is ever silent.
select
    strategy_id,
    any(strategies.strategy_name) as strategy_name,
    account,
    max(said_at) as as_of,
    groupUniqArrayIf(quality, said is not null) as qualities,
    arraySort(groupArray((metric_name, said))) as metrics
from
    (
        select
            toString(strategy_id) as strategy_id,
            toString(account) as account,
            toString(metric_name) as metric_name,
            max(as_of) as said_at,
            argMax(tuple(value), as_of).1 as said,
            argMax(toString(quality), as_of) as quality
        from quant.api_metric_series
        where
            window = {window:String}
            and as_of > {as_of:DateTime64(3)} - toIntervalSecond({pause:UInt32})
            and as_of <= {as_of:DateTime64(3)}
        group by strategy_id, account, metric_name
    ) as said
left join
    (select strategy_id, strategy_name from quant.api_strategies) as strategies
    on said.strategy_id = strategies.strategy_id
group by strategy_id, account
order by strategy_name, account
