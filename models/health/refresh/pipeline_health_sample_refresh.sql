{{ config(refreshable=every(health_sample_seconds())) }}
{{ materialization_target_table(ref("pipeline_health_sample")) }}
select now64(3, 'UTC') as sampled_at, *
from {{ ref("quant_pipeline_health") }} {{ refresh_settings() }}
