{{ config(contract={"enforced": true}) }}
with
    troubles as (
        select
            toString(stage) as stage,
            countIf(status = 'late') as late_samples,
            countIf(status = 'failing') as failing_samples
        from {{ ref("pipeline_health_sample") }}
        where sampled_at > now64(3) - interval 1 hour
        group by stage
    )
select
    health.stage as stage,
    health.ordinal as ordinal,
    health.watermark as watermark,
    health.lag_seconds as lag_seconds,
    health.allowed_lag_seconds as allowed_lag_seconds,
    health.last_success_at as last_success_at,
    health.error as error,
    health.state as state,
    health.status as status,
    health.reason as reason,
    troubles.late_samples * {{ health_sample_seconds() }} as late_seconds_1h,
    troubles.failing_samples * {{ health_sample_seconds() }} as failing_seconds_1h,
    if(
        health.stage = 'facts',
        ifNull(
            (
                select uniqExact(source_table, row_id)
                from {{ ref("quarantined_row") }}
                where source_table != ''
            ),
            toUInt64(0)
        ),
        toUInt64(0)
    ) as quarantined_rows
from {{ ref("quant_pipeline_health") }} as health
left join troubles on health.stage = troubles.stage
