{{ config(contract={"enforced": true}) }}
with
    statuses as (select * from {{ source("torghut_raw", "mirror_status") }} final),
    lossy as (
        select slot, count() as
        values
        from {{ source("torghut_raw", "mirror_lossy_values") }} final
        group by slot
    )
select
    statuses.slot as slot,
    statuses.state as state,
    statuses.detail as detail,
    statuses.lag_bytes as lag_bytes,
    statuses.watermark as watermark,
    statuses.updated_at as reported_at,
    ifNull(lossy.values, toUInt64(0)) as lossy_values
from statuses
left join lossy on statuses.slot = lossy.slot
