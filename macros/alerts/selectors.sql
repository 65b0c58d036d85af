{# Whether a policy's selector takes a strategy or an account: `any`, `each` of them, the `total` over all of them, or one
   by its name. #}
{% macro is_selected(selector, name) -%}
    multiIf(
        {{ selector }} = 'any',
        true,
        {{ selector }} = 'each',
        {{ name }} != '',
        {{ selector }} = 'total',
        {{ name }} = '',
        {{ name }} = {{ selector }}
    )
{%- endmacro %}

{# What a metric's value stands on, as a number: a frame that says the same of the same data is no other frame. The hash
   of anything missing would be missing. #}
{% macro alert_seen(row) -%}
    cityHash64(
        ifNull(toString({{ row }}.value), ''),
        {{ row }}.sample_count,
        ifNull(toString({{ row }}.last_event_at), '')
    )
{%- endmacro %}
