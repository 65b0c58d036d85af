{# Parameterized views: every metric is a function of the moment at which it is evaluated. #}

{# The moment of evaluation inside a parameterized view. #}
{% macro as_of() -%} toDateTime64({as_of:DateTime64(3)}, 3, 'UTC') {%- endmacro %}

{# Another parameterized view at the same moment. #}
{% macro at_as_of(name) -%} {{ ref(name) }}(as_of = {as_of:DateTime64(3)}) {%- endmacro %}

{# The edges of every account's windows, as an argument of a parameterized view.

   They come in as one literal, because everything is compared with them: a subquery in each place would be planned in
   each place, and planning already costs more than running. #}
{% macro edges() -%}
    {edges:Array(Tuple(account String, calendar String, edge UInt8, window String, edge_at DateTime64(3, 'UTC'), quotes_from DateTime64(3, 'UTC'), trading_ms Int64, sampling_ms Int64, is_open UInt8))}
{%- endmacro %}

{# A parameterized view that takes the edges, at the same moment. #}
{% macro at_as_of_with_edges(name) -%}
    {{ ref(name) }}(
        as_of = {as_of:DateTime64(3)},
        edges = (
            select
                groupArray(
                    (account, calendar, edge, window, edge_at, quotes_from, trading_ms, sampling_ms, is_open)
                )
            from {{ at_as_of("account_edge") }}
        )
    )
{%- endmacro %}

{# The edges as rows. #}
{% macro edge_rows() -%}
    select
        {%- for column in ["account", "calendar", "edge", "window", "edge_at", "quotes_from", "trading_ms", "sampling_ms", "is_open"] %}
        item.{{ column }} as {{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from (select arrayJoin({{ edges() }}) as item)
{%- endmacro %}

{# One row per account: the moments of its eight edges, in their order. #}
{% macro account_moments() -%}
    select item.account as account, arrayMap(pair -> pair.2, arraySort(groupArray((item.edge, item.edge_at)))) as moments
    from (select arrayJoin({{ edges() }}) as item)
    group by account
{%- endmacro %}

{# The four scopes to which a row of a strategy on an account adds: (strategy, account), account, strategy, desk. #}
{% macro scopes(strategy_id, account) -%}
    [({{ strategy_id }}, {{ account }}), ('', {{ account }}), ({{ strategy_id }}, ''), ('', '')]
{%- endmacro %}
