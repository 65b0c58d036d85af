{# Tables that refreshable views fill: their empty form, and the cursor by which each refresh takes what is new. #}
{# The body of a table model whose columns are those of its contract and whose rows come from a refreshable view. #}
{% macro empty_table() -%}
    select
        {%- for column in model.columns.values() %}
            defaultValueOfTypeName(
                $${{ column.data_type }}$$
            ) as `{{ column.name }}`{{ "," if not loop.last }}
        {%- endfor %}
    from system.one
    where 0
{%- endmacro %}

{# `refreshable` config of a view that runs every second (a tier's view: at the configured interval), after the views in
   `after`, and appends to its target or replaces it. #}
{% macro every_second(after=[], append=true, tier=false) %}
    {%- set milliseconds = (env_var('JANGAR_TORGHUT_QUANT_COMPUTE_INTERVAL_MS', '1000') if tier else '1000') | int -%}
    {%- set interval = 'EVERY ' ~ (milliseconds // 1000) ~ ' SECOND' -%}
    {%- set names = [] -%}
    {%- for name in after %}
        {% do names.append(target.schema ~ '.' ~ name) %}
    {% endfor -%}
    {%- set refresh = {'interval': interval, 'append': append} -%}
    {%- if names %} {% do refresh.update({'depends_on': names}) %} {% endif -%}
    {{ return(refresh) }}
{% endmacro %}

{# Rows of a mirrored staging model that were applied after the last refresh of `target_table` and are complete.

   Each refresh writes every row that it reads, in the order in which they were applied, so the highest `applied` of the
   target is the cursor, also after a refresh that was killed in the middle. The upper bound is the mirror's
   checkpoint: up to it, all tables of a batch are visible. #}
{% macro newly_applied(target_table) -%}
    applied > (select max(applied) from {{ target_table }})
    and applied <= (select applied from {{ ref('stg_mirror__progress') }})
{%- endmacro %}

{# Drop the views of the tiers when the control plane is disabled: a view that dbt no longer builds would keep running. #}
{% macro drop_disabled_tiers() %}
    {% if execute and flags.WHICH in ('run', 'build')
        and env_var('JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED', 'true') | lower != 'true' %}
        {% for view in ['quant_metrics_series_refresh', 'quant_metrics_latest_refresh', 'live_position_refresh', 'live_trade_refresh', 'live_holding_refresh',
            'live_scope_refresh', 'live_equity_refresh', 'live_market_refresh', 'live_edge_refresh'] %}
            {% do run_query('drop view if exists ' ~ target.schema ~ '.' ~ view ~ on_cluster_clause_of()) %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{# Age of the mirror's watermark, in seconds, beyond which a metric is stale. #}
{% macro maximum_staleness_seconds() -%}
    {{ env_var('JANGAR_TORGHUT_QUANT_MAX_STALENESS_SECONDS', '15') | int }}
{%- endmacro %}
