{# What must exist before a model compiles: databases, and the source tables and columns that the YAML declares.

   Torghut's schema grows by migrations and the mirror creates what the source has. A model reads what is declared, so
   whatever is missing is created here, empty, with the engine and key that the mirror uses. #}
{% macro ensure_sources() %}
    {% if execute and flags.WHICH in ('run', 'build', 'seed', 'test') %}
        {% set databases = [target.schema] %}
        {% for node in graph.sources.values() if node.schema not in databases %}
            {% do databases.append(node.schema) %}
        {% endfor %}
        {% for database in databases %}
            {% do run_query('create database if not exists ' ~ database ~ on_cluster_clause_of()) %}
        {% endfor %}
        {% set existing = {} %}
        {% set columns = run_query(
            "select database || '.' || table, groupArray(name) from system.columns where database in ('"
            ~ databases | join("', '") ~ "') group by 1"
        ) %}
        {% for row in columns.rows %}
            {% do existing.update({row[0]: row[1]}) %}
        {% endfor %}
        {% set engines = {} %}
        {% for row in run_query(
            "select database || '.' || name, engine from system.tables where database in ('"
            ~ databases | join("', '") ~ "')"
        ).rows %}
            {% do engines.update({row[0]: row[1]}) %}
        {% endfor %}
        {% for node in graph.sources.values() %}
            {% if var('raw_from') and node.schema == 'torghut_raw' %}
                {% do create_foreign_source(node, engines) %}
            {% else %} {{ ensure_source(node, existing) }}
            {% endif %}
        {% endfor %}
    {% endif %}
{% endmacro %}

{# Create one source table, or add the columns that it lacks. `existing`: table name -> its columns. #}
{% macro ensure_source(node, existing) %}
    {% set table = node.schema ~ '.' ~ node.identifier %}
    {% set columns = [] %}
    {% for column in node.columns.values() %}
        {% do columns.append((column.name, column.data_type)) %}
    {% endfor %}
    {% if table not in existing %}
        {% set definitions = [] %}
        {% for name, type in columns %}
            {% do definitions.append('`' ~ name ~ '` ' ~ type) %}
        {% endfor %}
        {% if '_applied' in node.columns %}
            {% do definitions.append('INDEX applied_range _applied TYPE minmax GRANULARITY 1') %}
        {% endif %}
        {% do run_query(
            'create table if not exists ' ~ table ~ on_cluster_clause_of() ~ ' (' ~ definitions | join(', ') ~ ') engine = '
            ~ node.meta.engine ~ (' partition by ' ~ node.meta.partition_by if node.meta.partition_by else '')
            ~ ' order by ' ~ node.meta.order_by
        ) %}
    {% else %}
        {% set missing = [] %}
        {% for name, type in columns if name not in existing[table] %}
            {% do missing.append('add column if not exists `' ~ name ~ '` ' ~ type) %}
        {% endfor %}
        {% if missing %}
            {% do run_query('alter table ' ~ table ~ on_cluster_clause_of() ~ ' ' ~ missing | join(', ')) %}
        {% endif %}
    {% endif %}
{% endmacro %}

{# ` on cluster ...` where the profile names a cluster, else nothing. #}
{% macro on_cluster_clause_of() %}
    {{ return(" on cluster `" ~ target.cluster ~ "`" if target.cluster else "") }}
{% endmacro %}
