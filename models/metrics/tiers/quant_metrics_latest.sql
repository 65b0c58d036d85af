{{ config(materialized="view", contract={"enforced": true}) }}
{%- for tier in ["light", "medium", "heavy"] %}
    select * from {{ ref("latest_" ~ tier) }} {{ "union all" if not loop.last }}
{%- endfor %}
