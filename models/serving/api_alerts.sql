{{ config(contract={"enforced": true}) }}
-- depends_on: {{ ref("quant_alerts") }}
-- depends_on: {{ ref("alert_action") }}
-- depends_on: {{ ref("api_strategies") }}
{{ alert_episodes() }}
