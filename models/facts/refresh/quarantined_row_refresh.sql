{{ config(refreshable=every(60)) }}
{{ materialization_target_table(ref("quarantined_row")) }}
with
    (select applied from {{ ref("stg_mirror__progress") }}) as newest_batch,
    (
        select max(applied) from {{ ref("quarantined_row") }} where source_table = ''
    ) as batches_done,
    defects as (
        select source_table, row_id, source_version, reason, applied
        from ({{ defects("applied > batches_done and applied <= newest_batch") }})
        union all
        -- The cursor: most batches have no such row.
        select '', '', 0, '', newest_batch
        from system.one
        where newest_batch > batches_done
    )
select *
from defects
-- The cursor behind the rows that it stands for.
order by source_table = '' {{ refresh_settings() }}
