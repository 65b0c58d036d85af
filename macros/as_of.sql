{# Parameterized views: every metric is a function of the moment at which it is evaluated. #}
{# The moment of evaluation: the argument of a parameterized view; in the live tier, that of the stage before. The first
   stage reads the clock, in a subquery, which a query evaluates once. #}
{% macro as_of() -%}
    {%- if not is_live() -%} toDateTime64({as_of:DateTime64(3)}, 3, 'UTC')
    {%- elif model.config.meta.stage_before == 'clock' -%} (select now64(3))
    {%- else -%} (select max(as_of) from {{ ref(model.config.meta.stage_before) }})
    {%- endif -%}
{%- endmacro %}

{# Whether the model at hand is a stage of the live tier, which runs every second.

   The stages are made of the same macros as the parameterized views, but each stores its rows for the next one, since
   the time to plan a query grows faster than its nesting: ten metrics took 0.56 s to plan as one query, 0.42 s as five.
   Those that do not need the ledger run beside the facts and the ledger, one after the other: two chains for the two
   cores that a small machine has, and nothing else beside them. All of them side by side finished no sooner and kept the
   facts waiting: p50 from commit to snapshot 6 s instead of 3 to 4 s. #}
{% macro is_live() -%}
    {{ return('stage_before' in model.config.get('meta', {})) }}
{%- endmacro %}

{# Whether it is a stage of the equity grid instead, whose edges are the minutes that are still missing. #}
{% macro is_grid() -%}
    {{ return(model.config.get('meta', {}).get('stage_before') == 'grid_edge') }}
{%- endmacro %}

{# What a stage stores. Without rows it stores one of empty keys, which joins with nothing: the next stage still finds the
   moment that it continues. #}
{% macro stage(rows) -%}
    select stage.*, tick.as_of as as_of
    from (select {{ as_of() }} as as_of) as tick
    left join ({{ rows }}) as stage on true
{%- endmacro %}

{# The rows that a stage stored for the moment of evaluation; a refresh that ran twice for one moment stored them twice. #}
{% macro stage_rows(stage) -%}
    select * except (as_of) from {{ ref(stage) }} final where as_of = {{ as_of() }}
{%- endmacro %}

{# Another parameterized view at the same moment. #}
{% macro at_as_of(name) -%}
    {{ ref(name) }} (as_of = {as_of:DateTime64(3)})
{%- endmacro %}


{# The edges of every account's windows, as an argument of a parameterized view.

   They come in as one literal, because everything is compared with them: a subquery in each place would be planned in
   each place, and planning already costs more than running. Accounts of a calendar share its edges: as a tuple for each
   account and edge, the literal was analysed for 7 s of a frame of 200 accounts. #}
{% macro edges() -%}
    {
        edges:Array(
            Tuple(
                calendar String,
                accounts Array(String),
                edges Array(
                    Tuple(
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
            )
        )
    }
{%- endmacro %}

{# A parameterized view that takes the edges, at the same moment. #}
{% macro at_known_with_edges(name) -%}
    {{ ref(name) }} (
        as_of = {as_of:DateTime64(3)},
        known_at = {known_at:DateTime64(3)},
        account = '',
        scopes = [],
        known = (
            select known
            from
                {{ ref("known_moment") }} (
                    as_of = {as_of:DateTime64(3)}, known_at = {known_at:DateTime64(3)}
                )
        ),
        edges = (
            select groupArray((calendar, accounts, edges))
            from
                {{ ref("edges_of_accounts") }} (
                    as_of = {as_of:DateTime64(3)}, account = ''
                )
        )
    )
{%- endmacro %}

{# The edges as rows. #}
{% macro edge_rows() -%}
    {%- if is_grid() -%}
        {{ stage_rows('grid_edge') }}
        -- A batch that was taken is not taken again.
        and toUnixTimestamp64Milli(as_of)
        > (select max(revision) from {{ ref('strategy_minute') }})
    {%- elif is_live() -%} {{ stage_rows('live_edge') }}
    {%- else -%}
        select
            account,
            calendar,
            {%- for column in ["edge", "window", "edge_at", "quotes_from", "trading_ms", "sampling_ms", "is_open"] %}
                one.{{ column }} as {{ column }}{{ "," if not loop.last }}
            {%- endfor %}
        from
            (
                select
                    item.calendar as calendar,
                    arrayJoin(item.accounts) as account,
                    arrayJoin(item.edges) as one
                from (select arrayJoin(edge_list) as item)
            )
    {%- endif -%}
{%- endmacro %}

{# One row per account: its calendar and its edges with their moments, in their order. #}
{% macro account_moments() -%}
    select
        account,
        any(calendar) as calendar,
        arraySort(groupArray(edge)) as edges,
        arrayMap(pair -> pair .2, arraySort(groupArray((edge, edge_at)))) as moments
    from ({{ edge_rows() }})
    group by account
{%- endmacro %}
