{# The grid of equity: the minutes of an account's sessions, each a bucket that ends at its point.

   What happens outside the sessions belongs to the first minute of the next one, so nothing is lost overnight. #}
{# Sessions with the close before each, from some time before `since` on: no market is closed for so long. #}
{% macro grid_sessions(since) -%}
    select
        calendar,
        opens_at,
        closes_at,
        lagInFrame(closes_at, 1, opens_at) over (
            partition by calendar
            order by opens_at
            rows between 1 preceding and current row
        ) as closed_before
    from {{ ref("trading_session") }}
    where
        opens_at > {{ since }} - interval 30 day and opens_at < now() + interval 30 day
{%- endmacro %}

{# The point before a point of `session`: that of the first one is the close before. #}
{% macro grid_before(point) -%}
    if(
        {{ point }} = session.opens_at + interval 1 minute,
        session.closed_before,
        {{ point }} - interval 1 minute
    )
{%- endmacro %}

{# Rows with `grid_at`, the point of the grid at or behind their moment, `grid_before`, the one before it, and
   `session_at`, the opening of its session. `rows` has
   the columns calendar and at, none of them before `since`. #}
{% macro on_grid(rows, since="toDateTime64('2000-02-01', 3, 'UTC')") -%}
    select
        rows.*,
        session.opens_at as session_at,
        session.opens_at + toIntervalSecond(
            60 * greatest(
                1,
                intDiv(
                    toUnixTimestamp64Micro(rows.at)
                    - 1000 * toUnixTimestamp64Milli(session.opens_at)
                    + 59999999,
                    60000000
                )
            )
        ) as grid_at,
        {{ grid_before("grid_at") }} as grid_before
    from ({{ rows }}) as rows
    asof inner join
        ({{ grid_sessions(since) }}) as session
        on rows.calendar = session.calendar
        and rows.at <= session.closes_at
{%- endmacro %}

{# Rows (calendar, edge, symbol): what the market showed last in the minute of each edge, 0 where nothing. #}
{% macro market_at_grid() %}
    select
        edge.calendar as calendar,
        edge.edge as edge,
        price.symbol as symbol,
        argMaxIf(price.price, (price.at, price.sequence), price.is_quote) as mid,
        argMaxIf(price.price, (price.at, price.sequence), not price.is_quote) as close
    from (select distinct calendar, edge, edge_at from ({{ edge_rows() }})) as edge
    inner join
        (
            {% set prices %}
            select calendar, prices.*
            from
                (
                    select
                        toString(symbol) as symbol,
                        mid as price,
                        toDateTime64(quoted_at, 6, 'UTC') as at,
                        at as begins_at,
                        sequence,
                        true as is_quote
                    from {{ ref("stg_torghut__ta_quotes") }}
                    where toStartOfMinute(quoted_at) in ({{ grid_minutes() }})
                    union all
                    select
                        toString(symbol) as symbol,
                        close as price,
                        toDateTime64(closed_at, 6, 'UTC') as at,
                        toDateTime64(bar_at, 6, 'UTC') as begins_at,
                        sequence,
                        false as is_quote
                    from {{ ref("stg_torghut__ta_bars") }}
                    where toStartOfMinute(bar_at) in ({{ grid_minutes() }})
                ) as prices
            cross join (select distinct calendar from ({{ edge_rows() }})) as calendars
            {% endset %}
            {{ on_grid(prices, grid_begins()) }}
        ) as price
        on edge.calendar = price.calendar
        and edge.edge_at = price.grid_at
    where price.begins_at >= price.grid_before
    group by calendar, edge, symbol
{% endmacro %}

{# The point before the first of the batch. #}
{% macro grid_begins() -%}
    (select min(quotes_from) from ({{ edge_rows() }}))
{%- endmacro %}

{# The minutes of the clock in which a price of the batch may lie: the sources are sorted by them. #}
{% macro grid_minutes() -%}
    select distinct
        arrayJoin(
            [
                toStartOfMinute(quotes_from),
                toStartOfMinute(edge_at) - interval 1 minute,
                toStartOfMinute(edge_at)
            ]
        )
    from ({{ edge_rows() }})
{%- endmacro %}
