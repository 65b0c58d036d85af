{# The grids that paths of equity are laid on: their points in trading time, and the benchmark at them. #}
{# The points of every grid with the last price of its benchmark. #}
{% macro path_priced_points() %}
    select
        point.*,
        if(
            point.point_ms - price.trading_ms <= point.longest_age_ms, price.close, 0.
        ) as benchmark_price
    from ({{ path_located_points() }}) as point
    asof left join
        ({{ benchmark_prices() }}) as price
        on point.calendar = price.calendar
        and point.benchmark = price.symbol
        and point.point_at >= price.at
{% endmacro %}

{# Rows (calendar, symbol, at): closes of the benchmarks' bars, in the trading time of the calendars that they are
   compared with. #}
{% macro benchmark_prices() %}
    select
        bar.calendar as calendar,
        bar.symbol as symbol,
        bar.at as at,
        bar.close as close,
        {{ trading_ms("bar.at", "session.opens_at", "session.closes_at", "session.ms_before") }}
        as trading_ms
    from
        (
            select
                arrayJoin(
                    arrayDistinct(arrayMap(item -> item .4, path_list))
                ) as calendar,
                toString(price.symbol) as symbol,
                toDateTime64(price.closed_at, 6, 'UTC') as at,
                price.close as close
            from {{ ref("stg_torghut__ta_bars") }} as price
            where
                price.symbol in (select arrayJoin(arrayMap(item -> item .6, path_list)))
                and price.bar_at > oldest_at
                and price.closed_at <= {{ as_of() }}
        ) as bar
    asof inner join
        ({{ recent_sessions() }}) as session
        on bar.calendar = session.calendar
        and bar.at >= session.opens_at
{% endmacro %}

{# The points of every grid in trading time, and the moment at which each was reached: at the seam of two sessions the
   opening of the later one, at the last point the moment of evaluation itself. #}
{% macro path_located_points() %}
    select
        point.*,
        assumeNotNull(
            if(
                point.number = point.steps,
                toDateTime64({{ as_of() }}, 6, 'UTC'),
                toDateTime64(
                    fromUnixTimestamp64Milli(
                        toUnixTimestamp64Milli(session.opens_at)
                        + point.point_ms
                        - session.ms_before,
                        'UTC'
                    ),
                    6,
                    'UTC'
                )
            )
        ) as point_at
    from
        (
            select
                *,
                toUInt32(greatest(1, ceil(window_ms / step_ms))) as steps,
                arrayJoin(range(steps + 1)) as number,
                if(
                    number = 0, begin_ms, end_ms - (steps - number) * step_ms
                ) as point_ms
            from ({{ path_grids() }})
        ) as point
    asof left join
        ({{ recent_sessions() }}) as session
        on point.calendar = session.calendar
        and point.point_ms >= session.ms_before
{% endmacro %}

{# Rows (grid): the grids of points that paths are laid on, with whose values are wanted there: (place, account, kind,
   paths), the kind empty for the equity of the account, else the strategy.

   Paths of a window with one step share a grid, and what an account adds to its own path and to those of many accounts is
   looked up once: path by path, 200 accounts took 0.4 s more. #}
{% macro path_grids() %}
    select
        rowNumberInAllBlocks() as grid,
        calendar,
        benchmark,
        edge,
        begin_ms,
        end_ms,
        end_ms - begin_ms as window_ms,
        step_ms,
        longest_age_ms,
        arrayMap(
            (place, member) -> (place, member .1, member .2, member .3),
            arrayEnumerate(groupArray((member, kind, paths)) as list),
            list
        ) as members
    from
        (
            select
                calendar,
                benchmark,
                edge,
                begin_ms,
                end_ms,
                step_ms,
                longest_age_ms,
                member,
                kind,
                groupArray(path) as paths
            from
                (
                    select
                        path,
                        item .4 as calendar,
                        item .6 as benchmark,
                        arrayJoin(
                            arrayFilter(bound -> bound .1 = calendar, window_list)
                        ) as bound,
                        bound .2 as edge,
                        bound .3 as begin_ms,
                        bound .4 as end_ms,
                        greatest(
                            bound .5, item .5, if(item .3 = '', 0, 60000)
                        ) as step_ms,
                        2 * greatest(bound .5, item .5) as longest_age_ms,
                        arrayJoin(item .2) as member,
                        arrayJoin(if(item .3 = '', [''], ['', item .3])) as kind
                    from
                        (
                            select path, item
                            from (select path_list as items)
                            array join items as item, arrayEnumerate(items) as path
                        )
                )
            group by
                calendar,
                benchmark,
                edge,
                begin_ms,
                end_ms,
                step_ms,
                longest_age_ms,
                member,
                kind
        )
    group by calendar, benchmark, edge, begin_ms, end_ms, step_ms, longest_age_ms
{% endmacro %}
