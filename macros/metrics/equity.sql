{# Rows (account, edge): the account's equity over every window on a grid of trading time that ends at the window's end.

   A grid point takes the last snapshot at or before it, when that is not older than twice the step or twice the median
   gap between snapshots; else the point is missing, not carried. The step is the window's own, or the median gap where
   snapshots come more slowly. #}
{% macro equity_paths() %}
    select
        account,
        edge,
        any(step_ms) as step_ms,
        any(gap_ms) as gap_ms,
        any(last_snapshot_at) as last_snapshot_at,
        any(window_ms) as window_ms,
        count() as points,
        countIf(is_known) as known_points,
        -- The grid runs from the start (number 0) to the end.
        maxIf(is_known, number = 0) as is_start_known,
        argMax(is_known, number) as is_end_known,
        argMaxIf(equity, number, is_known) as end_equity,
        argMinIf(equity, number, is_known) as start_equity,
        minIf(equity, is_known) as minimum_equity,
        minIf(equity / high - 1, is_known) as max_drawdown,
        argMinIf(point_at, equity / high - 1, is_known) as trough_at,
        argMax((exposure.1, exposure.2, exposure.3), number) as end_exposure,
        argMax(snapshot_trading_ms, number) as end_snapshot_trading_ms,
        any(trading_end_ms) as trading_end_ms
    from
        (
            select
                *,
                max(if(is_known, equity, null)) over (
                    partition by account, edge order by number rows between unbounded preceding and current row
                ) as high
            from
                (
                    select
                        grid.account as account,
                        grid.edge as edge,
                        grid.step_ms as step_ms,
                        grid.gap_ms as gap_ms,
                        grid.last_snapshot_at as last_snapshot_at,
                        grid.window_ms as window_ms,
                        grid.number as number,
                        grid.trading_end_ms as trading_end_ms,
                        snapshot.taken_at as point_at,
                        snapshot.trading_ms as snapshot_trading_ms,
                        toFloat64(snapshot.last_equity) as equity,
                        snapshot.exposure as exposure,
                        toYear(snapshot.taken_at) > 1970
                        and grid.point_ms - snapshot.trading_ms <= 2 * greatest(grid.sampling_ms, grid.gap_ms) as is_known
                    from ({{ equity_grid() }}) as grid
                    asof left join
                        (
                            select
                                account,
                                trading_ms,
                                max(snapshot_at) as taken_at,
                                argMax(assumeNotNull(equity), snapshot_at) as last_equity,
                                argMax((gross_value, net_value, unpriced_positions), snapshot_at) as exposure
                            from {{ ref("position_snapshot_fact") }}
                            where snapshot_at <= {{ as_of() }} and equity is not null
                            group by account, trading_ms
                        ) as snapshot
                        on grid.account = snapshot.account and grid.point_ms >= snapshot.trading_ms
                )
        )
    group by account, edge
{% endmacro %}

{# The points of every account and window, in trading milliseconds. #}
{% macro equity_grid() %}
    select
        *,
        number_and_point.1 as number,
        number_and_point.2 as point_ms
    from
        (
            select
                *,
                arrayJoin(
                    arrayConcat(
                        [(toUInt32(0), trading_start_ms)],
                        arrayMap(
                            step -> (toUInt32(steps - step), trading_end_ms - step * step_ms),
                            range(toUInt32(steps))
                        )
                    )
                ) as number_and_point
            from
                (
                    select
                        *,
                        toUInt32(greatest(1, ceil((trading_end_ms - trading_start_ms) / step_ms))) as steps
                    from
                        (
                            select
                                snapshots.account as account,
                                snapshots.last_snapshot_at as last_snapshot_at,
                                snapshots.gap_ms as gap_ms,
                                bound.edge as edge,
                                bound.sampling_ms as sampling_ms,
                                greatest(bound.sampling_ms, snapshots.gap_ms) as step_ms,
                                bound.trading_ms as trading_start_ms,
                                bound.trading_end_ms as trading_end_ms,
                                bound.trading_end_ms - bound.trading_ms as window_ms
                            from
                                (
                                    select
                                        account,
                                        max(seen_at) as last_snapshot_at,
                                        arraySort(
                                            arrayFilter(
                                                gap -> gap > 0,
                                                arrayDifference(
                                                    arrayReverse(arrayMap(ms -> -ms, groupArraySorted(21)(-trading_ms)))
                                                )
                                            )
                                        ) as gaps,
                                        gaps[intDiv(length(gaps) + 1, 2)] as gap_ms
                                    from
                                        (
                                            select account, trading_ms, max(snapshot_at) as seen_at
                                            from {{ ref("position_snapshot_fact") }}
                                            where snapshot_at <= {{ as_of() }} and equity is not null
                                            group by account, trading_ms
                                        )
                                    group by account
                                ) as snapshots
                            inner join
                                (
                                    select
                                        item.account as account,
                                        item.edge as edge,
                                        item.sampling_ms as sampling_ms,
                                        item.trading_ms as trading_ms,
                                        max(item.trading_ms) over (partition by item.account) as trading_end_ms
                                    from (select arrayJoin({{ edges() }}) as item)
                                ) as bound
                                on snapshots.account = bound.account
                            where bound.edge > 0
                        )
                )
        )
{% endmacro %}
