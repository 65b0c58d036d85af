{# The edges of windows: the moment of evaluation (edge 0) and the start of every window (edges 1 to 7). #}
{# Rows (account, edge): the edges of its calendar for every account that anything had happened on by then. #}
{% macro account_edges() %}
    select
        cast(scope.account as String) as account,
        edge.calendar as calendar,
        edge.edge as edge,
        edge.window as
    window
        ,
        edge.edge_at as edge_at,
        edge.quotes_from as quotes_from,
        edge.trading_ms as trading_ms,
        edge.sampling_ms as sampling_ms,
        edge.is_open as is_open
    from
        (
            select
                toString(account) as account, {{ calendar_of("account") }} as calendar
            from {{ ref("scope_evidence") }}
            where first_at <= {{ as_of() }}
            group by account
        ) as scope
    inner join ({{ calendar_edges() }}) as edge on scope.calendar = edge.calendar
{% endmacro %}

{# Rows (calendar, edge).

   Each step is a query of its own: an alias that uses an alias would be copied into it, and planning would take longer
   than running. #}
{% macro calendar_edges() %}
    with
        sessions as (
            select
                calendar,
                arraySort(
                    groupArray(
                        (
                            ms_before,
                            toUnixTimestamp64Milli(opens_at),
                            toUnixTimestamp64Milli(closes_at)
                        )
                    )
                ) as list,
                -- A regular session: the longest of the last two months, so that an
                -- early
                -- close does not shorten a window.
                max(
                    toUnixTimestamp64Milli(closes_at) - toUnixTimestamp64Milli(opens_at)
                ) as session_ms,
                toUnixTimestamp64Milli({{ as_of() }}) as now_ms
            from {{ ref("trading_session") }}
            where
                opens_at <= {{ as_of() }} and opens_at > {{ as_of() }} - interval 60 day
            group by calendar
        ),
        edges as (
            select calendar, list, session_ms, now_ms, 0 as edge, '' as
            window, 0 as length_ms, 0 as session_count, 0 as sampling_ms
            from sessions
            union all
            select calendar, list, session_ms, now_ms, ordinal as edge,
            window
                ,
                toInt64(length_seconds) * 1000 as length_ms,
                toInt64(sessions) as session_count,
                toInt64(sampling_seconds) * 1000 as sampling_ms
            from sessions
            cross join {{ ref("metric_windows") }}
        ),
        -- The session that last opened before each edge's moment on the clock.
        clocked as (
            select
                *,
                list[
                    arrayLastIndex(session -> session .2 <= now_ms - length_ms, list)
                ] as clock_session
            from edges
        ),
        counted as (
            select
                *,
                clock_session .1 + greatest(
                    0, least(now_ms - length_ms, clock_session .3) - clock_session .2
                )
                - session_count * session_ms as trading_ms
            from clocked
        ),
        -- The sessions in which that trading time, and the oldest quote's, were
        -- reached.
        -- At the seam of two sessions an edge
        -- is the opening of the later one, a quote still counts from the earlier one.
        located as (
            select
                *,
                list[
                    arrayLastIndex(session -> session .1 <= trading_ms, list)
                ] as edge_session,
                list[
                    arrayLastIndex(
                        session -> session .1
                        < trading_ms - {{ maximum_mark_age_ms() }},
                        list
                    )
                ] as quote_session
            from counted
        )
    select calendar, toUInt8(edge) as edge,
    window
        ,
        fromUnixTimestamp64Milli(
            if(
                session_count > 0,
                edge_session .2 + trading_ms - edge_session .1,
                now_ms - length_ms
            ),
            'UTC'
        ) as edge_at,
        trading_ms,
        fromUnixTimestamp64Milli(
            quote_session .2
            + trading_ms
            - {{ maximum_mark_age_ms() }}
            - quote_session .1,
            'UTC'
        ) as quotes_from,
        toInt64(sampling_ms) as sampling_ms,
        toUInt8(list[-1] .3 >= now_ms) as is_open
    from located
{% endmacro %}
