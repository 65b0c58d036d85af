{{ config(refreshable=after(["latest_heavy_refresh"])) }}
{{ materialization_target_table(ref("quant_metrics_series")) }}
-- depends_on: {{ ref("latest_heavy_refresh") }}
-- depends_on: {{ ref("latest_heavy") }}
{{ newly_recorded("heavy") }} {{ refresh_settings() }}
