select
    strategy_id,
    any(strategy_name) as strategy_name,
    account,
    max(as_of) as as_of,
    groupUniqArrayIf(quality, status = 'ok') as qualities,
    arraySort(groupArray((metric_name, value))) as metrics
from quant.api_metric_frames_latest
where window = {window:String}
group by strategy_id, account
order by strategy_name, account
