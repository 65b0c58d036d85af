{# Cursors of trade_execution_fact: how far it has read each of its inputs.

   A cursor is a row of the target itself: account '', marked deleted, so that no reader sees it, and written together
   with the fills that it stands for. #}
{% macro fill_cursor(input) -%}
    (
        select max(applied)
        from {{ ref("trade_execution_fact") }}
        where account = '' and strategy_id = '' and symbol = '' and fill_id = 'cursor:{{ input }}'
    )
{%- endmacro %}
