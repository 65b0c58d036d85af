{# One row per scope and window with everything that the formulas of some families need, at the moment of the edges.

   An input is a relation with a row per scope and window: at a moment from its macro, in the tiers from the stage that
   stores it. #}
{% macro metric_inputs(families) %}
    {%- set inputs = needs_of(families, "inputs") -%}
    {#- What accounts held takes longer to find than the rest of a scope. -#}
    {%- set has_levels = "positions" in inputs or "paths" in inputs -%}
    select *, {{ as_of() }} as window_end
    from ({{ input_rows("bases" if has_levels or is_live() else "windows") }}) as bases
    {%- for input in inputs %}
            {%- set edge = edge_of(input) %}
        left join
            (
                -- Under names of their own, so that those of the scope stay as they
                -- are.
                select
                    * except (strategy_id, account{{ ", " ~ edge if edge }}),
                    strategy_id as {{ input }}_strategy_id,
                    account as {{ input }}_account
                    {%- if edge %}, {{ edge }} as {{ input }}_edge {%- endif %}
                from ({{ input_rows(input) }})
            ) as {{ input }}
            on bases.strategy_id = {{ input }}_strategy_id
            and bases.account = {{ input }}_account
            {%- if edge %} and bases.edge = {{ input }}_edge {%- endif %}
    {%- endfor %}
{% endmacro %}

{# The macro that computes an input, and the stage that stores it. #}
{% macro input_rows(input) -%}
    {%- set sources = {
        "bases": ("scope_bases", "live_scope"),
        "windows": ("scope_windows", none),
        "positions": ("scope_positions", "live_position"),
        "flows": ("scope_flows", "live_flow"),
        "paths": ("scope_paths", "live_path"),
        "orders": ("scope_orders", "live_order"),
        "feeds": ("scope_feeds", "live_feed"),
        "coverage": ("scope_coverage", "live_coverage"),
    }[input] -%}
    {%- if is_live() -%} {{ stage_rows(sources[1]) }}
    {%- else -%} {{ context[sources[0]]() }}
    {%- endif -%}
{%- endmacro %}

{# Name of the column that numbers an input's windows; none for what is the same in all of them. #}
{% macro edge_of(input) -%}
    {{ return({"bases": "edge", "paths": "edge", "feeds": none}.get(input, "window_edge")) }}
{%- endmacro %}
