select *
from {{ ref("metric_frames") }} (as_of = {as_of:DateTime64(3)})
where
    metric_name in (
        select metric_name
        from {{ ref("metric_definitions") }}
        where metric_group = 'performance'
    )
