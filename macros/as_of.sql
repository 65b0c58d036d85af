{# Parameterized views: every metric is a function of the moment at which it is evaluated. #}
{# The moment of evaluation: the argument of a parameterized view; in the live tier, that of its stored edges. #}
{% macro as_of() -%}
    {%- if is_live() -%} (select max(as_of) from {{ ref('live_edge') }})
    {%- else -%} toDateTime64({as_of:DateTime64(3)}, 3, 'UTC')
    {%- endif -%}
{%- endmacro %}

{# Whether the model at hand is the live tier, which runs every second.

   It is made of the same macros as the parameterized views, over edges that a refresh before it has stored: planning a
   parameterized view inside another costs as much again as running it (1.1 s against 0.5 s for ten metrics). #}
{% macro is_live() -%}
    {{ return(model.config.get('meta', {}).get('edges') == 'live') }}
{%- endmacro %}

{# Another parameterized view at the same moment. #}
{% macro at_as_of(name) -%}
    {{ ref(name) }} (as_of = {as_of:DateTime64(3)})
{%- endmacro %}

{# The edges of every account's windows, as an argument of a parameterized view.

   They come in as one literal, because everything is compared with them: a subquery in each place would be planned in
   each place, and planning already costs more than running. #}
{% macro edges() -%}
    {
        edges:Array(
            Tuple(
                account String,
                calendar String,
                edge UInt8,
                window
                    String,
                    edge_at DateTime64(3, 'UTC'),
                    quotes_from DateTime64(3, 'UTC'),
                    trading_ms Int64,
                    sampling_ms Int64,
                    is_open UInt8
            )
        )
    }
{%- endmacro %}

{# A parameterized view that takes the edges, at the same moment. #}
{% macro at_as_of_with_edges(name) -%}
    {{ ref(name) }} (
        as_of = {as_of:DateTime64(3)},
        edges = (
            select
                groupArray(
                    (
                        account,
                        calendar,
                        edge,
                        window, edge_at, quotes_from, trading_ms, sampling_ms, is_open
                    )
                )
            from {{ at_as_of("account_edge") }}
        )
    )
{%- endmacro %}

{# The edges as rows. #}
{% macro edge_rows() -%}
    {%- if is_live() -%}
        select * except (as_of)
        from {{ ref('live_edge') }}
        where as_of = (select max(as_of) from {{ ref('live_edge') }})
    {%- else -%}
        select
            {%- for column in ["account", "calendar", "edge", "window", "edge_at", "quotes_from", "trading_ms", "sampling_ms", "is_open"] %}
                item.{{ column }} as {{ column }}{{ "," if not loop.last }}
            {%- endfor %}
        from (select arrayJoin({{ edges() }}) as item)
    {%- endif -%}
{%- endmacro %}

{# One row per account: the moments of its eight edges, in their order. #}
{% macro account_moments() -%}
    select
        account,
        arrayMap(pair -> pair .2, arraySort(groupArray((edge, edge_at)))) as moments
    from ({{ edge_rows() }})
    group by account
{%- endmacro %}

{# The four scopes to which a row of a strategy on an account adds: (strategy, account), account, strategy, desk. #}
{% macro scopes(strategy_id, account) -%}
    [
        ({{ strategy_id }}, {{ account }}),
        ('', {{ account }}),
        ({{ strategy_id }}, ''),
        ('', '')
    ]
{%- endmacro %}
