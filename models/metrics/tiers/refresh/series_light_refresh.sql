{{ config(refreshable=after(["latest_light_refresh"])) }}
{{ materialization_target_table(ref("quant_metrics_series")) }}
-- depends_on: {{ ref("latest_light_refresh") }}
-- depends_on: {{ ref("latest_light") }}
{{ newly_recorded("light") }} {{ refresh_settings() }}
