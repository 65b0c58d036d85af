{# A metric's value at the precision of the dictionary. The only rounding there is. #}
{% macro rounded(value, metric_name) -%}
    round(
        {{ value }},
        transform(
            {{ metric_name }},
            (select groupArray(metric_name) from {{ ref('metric_definitions') }}),
            (select groupArray(toInt8(precision)) from {{ ref('metric_definitions') }}),
            toInt8(6)
        )
    )
{%- endmacro %}

{# A Float64 as money with twelve decimals, to the nearest: the cast alone cuts off, and a third would lose a digit. #}
{% macro money(expression) -%}
    toDecimal128({{ expression }} + if({{ expression }} < 0, -5e-13, 5e-13), 12)
{%- endmacro %}
