{# Families of metrics: what is computed together, because it reads the same inputs at the same pace. A formula stands
   in the macro `<family>_formulas`; what several of its formulas share, in macros `<name>_columns` that wrap the rows
   of the inputs one after the other. #}
{% macro metric_families() -%}
    {{ return({
        'profit': {
            'group': 'performance', 'tier': 'light', 'inputs': ['positions', 'flows'], 'columns': ['profit'],
        },
        'returns': {'group': 'performance', 'tier': 'medium', 'inputs': ['paths'], 'columns': ['path', 'returns']},
        'risk': {'group': 'risk', 'tier': 'medium', 'inputs': ['paths'], 'columns': ['path', 'sample', 'risk']},
        'tail': {'group': 'risk', 'tier': 'heavy', 'inputs': ['paths'], 'columns': ['path', 'sample', 'tail']},
        'trade': {'group': 'trades', 'tier': 'light', 'inputs': ['flows'], 'columns': ['trade']},
        'turnover': {'group': 'trades', 'tier': 'medium', 'inputs': ['flows', 'paths'], 'columns': ['turnover']},
        'exposure': {
            'group': 'exposure', 'tier': 'light', 'inputs': ['positions', 'flows'], 'columns': ['exposure'],
        },
        'order': {'group': 'execution', 'tier': 'medium', 'inputs': ['orders'], 'columns': ['order']},
        'feed': {'group': 'pipeline', 'tier': 'medium', 'inputs': ['feeds'], 'columns': ['feed']},
        'coverage': {'group': 'pipeline', 'tier': 'heavy', 'inputs': ['coverage'], 'columns': ['coverage']},
        'beta': {'group': 'exposure', 'tier': 'heavy', 'inputs': ['paths'], 'columns': ['path', 'sample', 'beta']},
    }) }}
{%- endmacro %}

{# Names of the families of a group, of a tier, or of those that share a row of inputs; all without any. #}
{% macro families_of(group=none, tier=none, last_input=none) -%}
    {%- set names = [] -%}
    {%- for name, family in metric_families().items()
        if group in (none, family.group) and tier in (none, family.tier) and last_input in (none, family.inputs[-1])
    -%}
        {%- do names.append(name) -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{# The families in lists of those that share a row of inputs: whose last input is the same. #}
{% macro bundles_of(families) -%}
    {%- set bundles = {} -%}
    {%- for family in families -%}
        {%- do bundles.setdefault(metric_families()[family].inputs[-1], []).append(family) -%}
    {%- endfor -%}
    {{ return(bundles.values() | list) }}
{%- endmacro %}

{# What the families need, each once, in their order: `inputs` or `columns`. #}
{% macro needs_of(families, what) -%}
    {%- set names = [] -%}
    {%- for family in families -%}
        {%- for name in metric_families()[family][what] if name not in names -%}
            {%- do names.append(name) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ return(names) }}
{%- endmacro %}

{# One formula as an array element: (metric_name, value, reason when there is no value, caveat when there is one,
   samples, last event, meta). #}
{% macro metric(name, value, reason="''", caveat="''", samples="0", last_event="last_fill_at", meta="''") -%}
    (
        '{{ name }}',
        toNullable(toFloat64({{ value }})),
        {{ reason }},
        {{ caveat }},
        toUInt64({{ samples }}),
        toDateTime64({{ last_event }}, 6, 'UTC'),
        {{ meta }}
    )
{%- endmacro %}

{# A JSON object from a mapping of name to (expression, ClickHouse type). #}
{% macro json_object(fields) -%}
    {%- set names = fields.keys() | list -%}
    toJSONString(
        cast(
            tuple(
                {%- for name in names %}
                    {{ fields[name][0] }}{{ ", " if not loop.last }}
                {% endfor -%}
            ),
            'Tuple(
                {%- for name in names %}{{ name }} {{ fields[name][1] }}{{ ", " if not loop.last }}{% endfor -%}
            )'
        )
    )
{%- endmacro %}
