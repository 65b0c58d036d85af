select
    frame.strategy_id as strategy_id,
    ifNull(strategies.strategy_name, '') as strategy_name,
    frame.account as account,
    frame.window as
window
    ,
    frame.metric_name as metric_name,
    frame.as_of as as_of,
    {{ rounded("frame.value", "frame.metric_name") }} as value,
    frame.unit as unit,
    frame.status as status,
    frame.quality as quality,
    frame.reason as reason,
    frame.freshness_seconds as freshness_seconds,
    frame.watermark as watermark,
    frame.last_event_at as last_event_at,
    frame.sample_count as sample_count,
    frame.window_start as window_start,
    frame.window_end as window_end,
    frame.formula_version as formula_version,
    frame.meta as meta
from ({{ metric_frames(families_of()) }}) as frame
left join
    (select strategy_id, strategy_name from {{ ref("api_strategies") }}) as strategies
    on frame.strategy_id = strategies.strategy_id
