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
        argMinIf(seen_at, equity / high - 1, is_known) as trough_at,
        argMax(gross_value, number) as gross_value,
        argMax(net_value, number) as net_value,
        argMax(unpriced_positions, number) as unpriced_positions,
        argMax(age_ms, number) as end_age_ms
    from
        (
            select
                *,
                max(if(is_known, equity, null)) over (
                    partition by account, edge
                    order by number
                    rows between unbounded preceding and current row
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
                        snapshot.snapshot_at as seen_at,
                        toFloat64(snapshot.equity) as equity,
                        snapshot.gross_value as gross_value,
                        snapshot.net_value as net_value,
                        snapshot.unpriced_positions as unpriced_positions,
                        grid.point_ms - snapshot.trading_ms as age_ms,
                        snapshot.snapshot_id != toUUIDOrZero('')
                        and grid.point_ms - snapshot.trading_ms
                        <= grid.longest_age_ms as is_known
                    from ({{ equity_grid() }}) as grid
                    asof left join
                        {{ ref("position_snapshot_fact") }} as snapshot
                        on grid.account = snapshot.account
                        and grid.point_at >= snapshot.snapshot_at
                )
        )
    group by account, edge
{% endmacro %}

{# The points of every account and window: in trading milliseconds, and the moment at which each was reached. #}
{% macro equity_grid() %}
    select
        points.*,
        -- At the seam of two sessions, the opening of the later one; the last point
        -- is the moment of evaluation itself.
        if(
            points.number = points.steps,
            toDateTime64({{ as_of() }}, 6, 'UTC'),
            toDateTime64(
                fromUnixTimestamp64Milli(
                    toUnixTimestamp64Milli(session.opens_at)
                    + points.point_ms
                    - session.ms_before,
                    'UTC'
                ),
                6,
                'UTC'
            )
        ) as point_at
    from
        (
            select
                * except (spec),
                arrayJoin(
                    arrayConcat(
                        [(toUInt32(0), trading_start_ms)],
                        arrayMap(
                            step -> (
                                toUInt32(steps - step), trading_end_ms - step * step_ms
                            ),
                            range(toUInt32(steps))
                        )
                    )
                ) as spec,
                spec .1 as number,
                spec .2 as point_ms
            from ({{ equity_steps() }})
        ) as points
    asof left join
        (
            select calendar, opens_at, ms_before
            from {{ ref("trading_session") }}
            where
                opens_at <= {{ as_of() }} and opens_at > {{ as_of() }} - interval 60 day
        ) as session
        on points.calendar = session.calendar
        and points.point_ms >= session.ms_before
{% endmacro %}

{# Per account and window: bounds in trading time, the step and how old a snapshot may be. #}
{% macro equity_steps() %}
    select
        *,
        trading_end_ms - trading_start_ms as window_ms,
        2 * greatest(sampling_ms, gap_ms) as longest_age_ms,
        toUInt32(
            greatest(1, ceil((trading_end_ms - trading_start_ms) / step_ms))
        ) as steps
    from
        (
            select
                snapshots.account as account,
                snapshots.last_snapshot_at as last_snapshot_at,
                snapshots.gap_ms as gap_ms,
                bound.calendar as calendar,
                bound.edge as edge,
                bound.sampling_ms as sampling_ms,
                greatest(bound.sampling_ms, snapshots.gap_ms) as step_ms,
                bound.trading_ms as trading_start_ms,
                bound.trading_end_ms as trading_end_ms
            from ({{ snapshot_gaps() }}) as snapshots
            inner join
                (
                    select
                        *, max(trading_ms) over (partition by account) as trading_end_ms
                    from ({{ edge_rows() }})
                ) as bound
                on snapshots.account = bound.account
            where bound.edge > 0
        )
{% endmacro %}

{# Per account: its last snapshot and the median gap of the last ones, in trading time. Snapshots outside the sessions
   do not advance it: gaps of zero do not count. #}
{% macro snapshot_gaps() %}
    select account, last_snapshot_at, gaps[intDiv(length(gaps) + 1, 2)] as gap_ms
    from
        (
            select
                account,
                last_snapshot_at,
                arraySort(
                    arraySlice(
                        arrayFilter(
                            gap -> gap > 0, arrayDifference(arrayReverse(recent))
                        ),
                        -20
                    )
                ) as gaps
            from
                (
                    select
                        account,
                        max(snapshot_at) as last_snapshot_at,
                        arrayMap(
                            negative -> - negative, groupArraySorted(100)(- trading_ms)
                        ) as recent
                    from {{ ref("position_snapshot_fact") }}
                    where snapshot_at <= {{ as_of() }}
                    group by account
                )
        )
{% endmacro %}

{# The same, from the stage that stores it where there is one. #}
{% macro equity_rows() %}
    {% if is_live() %} {{ stage_rows("live_equity") }}
    {% else %} {{ equity_paths() }}
    {% endif %}
{% endmacro %}
