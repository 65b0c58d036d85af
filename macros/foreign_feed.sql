{# A warehouse that PeerDB or ClickPipes for Postgres fills instead of our mirror: its tables under our names.

   The var `raw_from` names the database that it fills, `raw_columns` what its columns are called. Each declared source
   table of torghut_raw becomes a view of the declared columns, so no model knows the difference. #}
{% macro create_foreign_source(node, engines) %}
    {% set database = var('raw_from') %}
    {% if engines.get(node.schema ~ '.' ~ node.identifier, 'View') != 'View' %}
        {% do exceptions.raise_compiler_error(
            node.schema ~ '.' ~ node.identifier ~ ' is a table of the mirror, which the var raw_from would replace by a'
            ~ ' view of ' ~ database ~ '. Use another warehouse, or drop the database ' ~ node.schema ~ ' first.'
        ) %}
    {% endif %}
    {% do run_query(
        'create or replace view ' ~ node.schema ~ '.' ~ node.identifier ~ on_cluster_clause_of() ~ ' as '
        ~ foreign_source_query(node, database)
    ) %}
{% endmacro %}

{# The query of such a view, by the kind of table that the mirror would have written. #}
{% macro foreign_source_query(node, database) %}
    {% set synced = var('raw_columns')['_synced_at'] %}
    {% set expressions = dict(var('raw_columns')) %}
    {% do expressions.update({'_applied': 'toUnixTimestamp64Micro(toDateTime64(' ~ synced ~ ', 6))'}) %}
    {% if node.identifier in ('mirror_checkpoint', 'mirror_status') %}
        {% set newest = [] %}
        {% for other in graph.sources.values() if '_applied' in other.columns and not other.identifier.endswith('__history') %}
            {% do newest.append('select max(' ~ synced ~ ') as newest from ' ~ database ~ '.' ~ other.identifier) %}
        {% endfor %}
        {# Rows of one sync become visible one table after the other: what arrived just now may not be all of it. #}
        {% set from = ' from (select toDateTime64(least(max(newest), now64(9) - toIntervalSecond('
            ~ var('raw_settle_seconds') ~ ")), 6, 'UTC') as complete from (" ~ newest | join(' union all ') ~ '))' %}
        {% set expressions = {
            'slot': "'" ~ database ~ "'",
            'applied': 'toUnixTimestamp64Micro(complete)',
            'watermark': 'complete',
            'recorded_at': 'complete',
            'updated_at': 'now64(6)',
            'state': "'streaming'",
            'detail': "'fed by another mirror'",
            'lsn': '0',
            'source_lsn': '0',
            'lag_bytes': '0',
            'source_heard_at': 'null',
        } %}
    {% elif node.identifier == 'mirror_lossy_values' %}
        {# It does not tell what it could not hold. #}
        {% set expressions = {} %}
        {% for column in node.columns.values() %}
            {% do expressions.update({column.name: 'defaultValueOfTypeName(' ~ "'" ~ column.data_type.replace("'", "\\'") ~ "')"}) %}
        {% endfor %}
        {% set from = ' from system.one where 0' %}
    {% else %}
        {% set from = ' from ' ~ database ~ '.' ~ node.identifier.replace('__history', '') %}
        {# Such a feed keeps no history: the current rows are all that is known of the past. #}
        {% if node.identifier.endswith('__history') %}
            {% set from = from ~ ' where 0' %}
        {% endif %}
        {% do expressions.update({'_op': "'update'"}) %}
    {% endif %}
    {% set selected = [] %}
    {% for column in node.columns.values() %}
        {% set type = column.data_type.split(' DEFAULT ')[0] %}
        {% do selected.append(
            'cast(' ~ expressions.get(column.name, '`' ~ column.name ~ '`') ~ " as " ~ type ~ ') as `' ~ column.name ~ '`'
        ) %}
    {% endfor %}
    {{ return('select ' ~ selected | join(', ') ~ from) }}
{% endmacro %}
