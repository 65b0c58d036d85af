{# Reading the source's loose values without ever throwing: garbage becomes NULL. #}
{# A Decimal of the given scale from a number, a Decimal or text; NULL when it is none. #}
{% macro decimal_or_null(expression, scale=9) -%}
    accurateCastOrNull({{ expression }}, 'Decimal(38, {{ scale }})')
{%- endmacro %}

{# The moment in an ISO 8601 text, UTC when it names no zone; NULL when it is none or outside 1970 to 2299. #}
{% macro moment_or_null(expression) -%}
    parseDateTime64BestEffortOrNull({{ expression }}, 6, 'UTC')
{%- endmacro %}

{# The scalar at a JSON path as text, whether it was written as text or number; '' when absent. #}
{% macro json_scalar(json, path) -%}
    trim(both '"' from JSONExtractRaw({{ json }}, {{ path }}))
{%- endmacro %}

{# The broker's order inside raw_order: the object itself, or inside a trade_updates envelope (payload or data). #}
{% macro broker_order(raw) -%}
    multiIf(
        JSONHas({{ raw }}, 'payload', 'order'),
        JSONExtractRaw({{ raw }}, 'payload', 'order'),
        JSONHas({{ raw }}, 'data', 'order'),
        JSONExtractRaw({{ raw }}, 'data', 'order'),
        {{ raw }}
    )
{%- endmacro %}
