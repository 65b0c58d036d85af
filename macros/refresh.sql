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

{# Drop refreshable views that the project does not build, which would keep running: those of a former version, and
   those of the tiers where the control plane is disabled. #}
{% macro drop_retired_views() %}
    {% if execute and flags.WHICH in ('run', 'build') %}
        {%- set built = graph.nodes.values() | selectattr('config.materialized', 'equalto', 'materialized_view') | map(attribute='name') | list -%}
        {%- set found = run_query("select view from system.view_refreshes where database = '" ~ target.schema ~ "'") -%}
        {% for row in found if row[0] not in built %}
            {% do run_query('drop view if exists ' ~ target.schema ~ '.`' ~ row[0] ~ '`' ~ on_cluster_clause_of()) %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{# Age of the mirror's watermark, in seconds, beyond which a metric is stale. #}
{% macro maximum_staleness_seconds() -%}
    {{ env_var('JANGAR_TORGHUT_QUANT_MAX_STALENESS_SECONDS', '15') | int }}
{%- endmacro %}
