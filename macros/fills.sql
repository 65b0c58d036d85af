{# The cursor of trade_execution_fact: the last batch of changed_order that it has computed.

   It is a row of the target itself: account '', marked deleted, so that no reader sees it, and written behind the fills
   that it stands for. #}
{% macro fill_cursor() -%}
    (
        select max(applied)
        from {{ ref("trade_execution_fact") }}
        where account = '' and strategy_id = '' and symbol = '' and fill_id = 'cursor'
    )
{%- endmacro %}
