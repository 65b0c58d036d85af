{# Trading time: milliseconds of session that a calendar has counted up to a moment. #}
{# `moment` measured against the session that last opened at or before it (columns of trading_session). #}
{% macro trading_ms(moment, opens_at, closes_at, ms_before) -%}
    {{ ms_before }} + greatest(
        0,
        least(
            toUnixTimestamp64Milli(toDateTime64({{ moment }}, 3, 'UTC')),
            toUnixTimestamp64Milli({{ closes_at }})
        )
        - toUnixTimestamp64Milli({{ opens_at }})
    )
{%- endmacro %}

{# Calendar of an account: its row in the seed account_settings, else the row `*`. #}
{% macro calendar_of(account) -%}
    transform(
        {{ account }},
        (select groupArray(account) from {{ ref('account_settings') }}),
        (select groupArray(calendar) from {{ ref('account_settings') }}),
        (select any(calendar) from {{ ref('account_settings') }} where account = '*')
    )
{%- endmacro %}
