{{ config(refreshable=after(["latest_medium_refresh"])) }}
{{ materialization_target_table(ref("quant_metrics_series")) }}
-- depends_on: {{ ref("latest_medium_refresh") }}
-- depends_on: {{ ref("latest_medium") }}
{{ newly_recorded("medium") }} {{ refresh_settings() }}
