{{ config(contract={"enforced": true}) }}
select
    stage,
    ordinal,
    watermark,
    lag_seconds,
    allowed_lag_seconds,
    last_success_at,
    error,
    state,
    if(
        stage = 'facts',
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
from {{ ref("quant_pipeline_health") }}
