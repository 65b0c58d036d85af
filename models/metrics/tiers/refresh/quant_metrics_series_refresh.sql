{{ config(refreshable=after(["quant_metrics_latest_refresh"])) }}
{{ materialization_target_table(ref("quant_metrics_series")) }}
-- depends_on: {{ ref("quant_metrics_latest_refresh") }}
-- depends_on: {{ ref("quant_metrics_latest") }}
select * except (changed_at, recorded_at)
from {{ ref("quant_metrics_latest") }}
-- The partition key knows the newest moment without reading a row.
where
    recorded_at > (select max(as_of) from {{ ref("quant_metrics_series") }})
    {{ refresh_settings() }}
