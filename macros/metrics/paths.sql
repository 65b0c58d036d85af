{# The path of a scope's equity over every window: what returns, drawdowns and tails are computed from.

   A path is laid on a grid of trading time that ends at the window's end, with the window's own step, or the usual gap
   between snapshots where they come more slowly. A scope that owns the equity of its accounts has their returns; a
   strategy that shares an account has its contribution to the account's return: its profit from point to point over
   the account's equity, or over its own capital where seeds/strategy_capital.csv names one. #}
{# A strategy's value is known by minute (strategy_minute), at most 75 s after the minute's end. What is newer than this
   is left out also where it is there, so that a frame computed again is the same. #}
{% macro strategy_value_delay_seconds() -%} 90 {%- endmacro %}

{# Ordinal of the window that began with the present session, behind those of seeds/metric_windows.csv; its step. #}
{% macro session_edge() -%} 8 {%- endmacro %}
{% macro session_sampling_ms() -%} 300000 {%- endmacro %}

{# Rows (strategy_id, account, edge): the path over each window in arrays, and what a walk along it gives. #}
{% macro scope_paths() %}
    with
        (
            select groupArray((scopes, members, strategy, calendar, gap_ms, benchmark))
            from ({{ path_list() }})
        ) as path_list,
        (
            select groupUniqArray((calendar, edge, trading_ms, end_ms, sampling_ms))
            from ({{ path_windows() }})
        ) as window_list,
        (
            select groupArray((toString(account), flowed_at, toDecimal128(amount, 12)))
            from {{ ref("cash_flows") }}
        ) as flow_list,
        (select min(edge_at) - interval 7 day from ({{ edge_rows() }})) as oldest_at,
        (
            select (groupArray(account), groupArray(calendar))
            from ({{ edge_rows() }})
            where edge = 0
        ) as account_calendars,
        -- Until when the strategies of each account are valued.
        (
            select groupArray((toString(account), known_until))
            from {{ ref("strategy_minute") }} final
            where strategy_id = ''
        ) as valued_list,
        {{ valued_until() }} as valued_until,
        (
            select
                groupArray(
                    (strategy_id, account, toFloat64(capital), toFloat64(profit))
                )
            from ({{ allocated_capital() }})
        ) as capital_list
    select
        scope .1 as strategy_id,
        scope .2 as account,
        walked.* except (scopes, walk, session_state),
        max(walked.session_state) over (
            partition by strategy_id, account
        ) as session_state,
        walk .1 as wealth,
        walk .2 as high_wealth,
        walk .4 as max_drawdown,
        walk .5 as peak_ms,
        walk .6 as trough_ms,
        walk .7 as recovered_ms,
        walk .3 as high_ms,
        walk .8 as longest_ms,
        walk .9 as longest_from_ms
    from
        (
            select
                item .1 as scopes,
                item .4 as calendar,
                item .6 as benchmark,
                basis,
                edge,
                step_ms,
                window_ms,
                length(points) - 1 as steps,
                return_places,
                arrayMap(place -> points[place] .6, return_places) as return_ends,
                arrayMap(
                    place -> {{ growth("points[place - 1]", "points[place]") }},
                    return_places
                ) as returns,
                -- Zero where the benchmark has no price at either end.
                arrayMap(
                    place -> if(
                        points[place] .7 > 0 and points[place - 1] .7 > 0,
                        (true, points[place] .7 / points[place - 1] .7 - 1),
                        (false, 0.)
                    ),
                    return_places
                ) as benchmark_returns,
                known,
                length(known) as known_points,
                points[1] .2 as is_start_known,
                points[-1] .2 as is_end_known,
                arrayMin(arrayMap(point -> point .4, known)) as minimum_base,
                arrayFilter(point -> point .1 > 0, known) as inner_points,
                arraySum(arrayMap(point -> point .4, inner_points))
                / length(inner_points) as mean_base,
                known[-1] .5 - first .5 as net_flow,
                -- The ends say it to the last digit.
                if(
                    is_plain, {{ growth("first", "known[-1]") }}, walk .1 - 1
                ) as total_return,
                -- What the present session says, for the rows of all windows.
                if(
                    edge = {{ session_edge() }},
                    (
                        true,
                        multiIf(
                            not is_start_known,
                            'no_opening_state',
                            not is_end_known,
                            'stale_source',
                            minimum_base <= 0,
                            'nonpositive_equity',
                            ''
                        ),
                        total_return
                    ),
                    (false, '', 0.)
                ) as session_state,
                arrayFold(
                    (walk, rate, level, at_ms) -> {{ next_step_of_walk() }},
                    arrayMap(
                        (point, former) -> {{ growth("former", "point") }},
                        known,
                        arraySlice(arrayPushFront(known, first), 1, length(known))
                    ),
                    arrayMap(point -> point .3 / first .3, known),
                    arrayMap(point -> point .6, known),
                    (
                        1.,
                        1.,
                        0::Int64,
                        0.,
                        0::Int64,
                        0::Int64,
                        0::Int64,
                        0::Int64,
                        0::Int64
                    )
                ) as walk
            from ({{ path_known_points() }})
        ) as walked
    array join scopes as scope
{% endmacro %}

{# The return from one point of a path to another: what it gained beyond flows, over what it was computed on. A point is
   (number, is_known, value, base, flows so far, milliseconds of the clock, price of the benchmark). #}
{% macro growth(former, point) -%}
    if(
        {{ former }}.4 = 0,
        0.,
        ({{ point }}.3 - ({{ point }}.5 - {{ former }}.5) - {{ former }}.3)
        / {{ former }}.4
    )
{%- endmacro %}

{# One step along a path: (wealth, highest wealth, its moment, deepest drawdown, its peak, its trough, its recovery or 0,
   longest time from a high to its recovery, its begin). A wealth within 1e-12 of the highest is as high: products
   of returns that lead back to where they began miss it by their last digit. #}
{% macro next_step_of_walk() -%}
    {#- Without flows the level itself: it goes on behind an equity of zero, from which no return is counted. -#}
    {%- set wealth = "if(is_plain, level, walk.1 * (1 + rate))" -%}
    {%- set is_high = "(" ~ wealth ~ " >= walk.2 * (1 - 1e-12))" -%}
    {%- set is_recovery = "(" ~ is_high ~ " and walk.1 < walk.2 * (1 - 1e-12))" -%}
    {%- set is_deeper = "(not " ~ is_high ~ " and " ~ wealth ~ " / walk.2 - 1 < walk.4)" -%}
    {%- set under_ms = "(at_ms - walk.3)" -%}
    (
        {{ wealth }},
        greatest(walk .2, {{ wealth }}),
        if({{ is_high }}, at_ms, walk .3),
        if({{ is_deeper }}, {{ wealth }} / walk .2 - 1, walk .4),
        if({{ is_deeper }}, walk .3, walk .5),
        if({{ is_deeper }}, at_ms, walk .6),
        multiIf(
            {{ is_deeper }},
            0::Int64,
            {{ is_recovery }} and walk .3 = walk .5,
            at_ms,
            walk .7
        ),
        if({{ is_recovery }} and {{ under_ms }} > walk .8, {{ under_ms }}, walk .8),
        if({{ is_recovery }} and {{ under_ms }} > walk .8, walk .3, walk .9)
    )
{%- endmacro %}

{# Rows (scopes, members, strategy, calendar, gap_ms, benchmark): scopes of the same accounts that own their equity share a path;
   `strategy` is whose contribution it is, else empty. Accounts of several calendars are measured by the one that
   trades most. #}
{% macro path_list() %}
    select
        arraySort(groupArray((strategy_id, account))) as scopes,
        members,
        strategy,
        any(calendar) as calendar,
        any(gap_ms) as gap_ms,
        any(benchmark) as benchmark
    from
        (
            select
                member.strategy_id as strategy_id,
                member.account as account,
                arraySort(groupArray(member.member)) as members,
                if(min(member.owns_equity), '', member.strategy_id) as strategy,
                argMax(bound.calendar, calendars.seconds_per_year) as calendar,
                max(member.gap_ms) as gap_ms,
                if(
                    uniqExact(bound.benchmark) = 1, any(bound.benchmark), ''
                ) as benchmark
            from ({{ members_with_gaps() }}) as member
            inner join
                (
                    select account, calendar, {{ benchmark_of("account") }} as benchmark
                    from ({{ edge_rows() }})
                    where edge = 0
                ) as bound
                on member.member = bound.account
            inner join
                {{ ref("trading_calendars") }} as calendars
                on bound.calendar = calendars.calendar
            group by strategy_id, account
        )
    group by members, strategy
{% endmacro %}

{# Benchmark of an account: its row in the seed account_settings, else the row `*`; empty for none. #}
{% macro benchmark_of(account) -%}
    transform(
        {{ account }},
        (select groupArray(account) from {{ ref('account_settings') }}),
        (select groupArray(benchmark) from {{ ref('account_settings') }}),
        (select any(benchmark) from {{ ref('account_settings') }} where account = '*')
    )
{%- endmacro %}

{# Rows (calendar, edge): bounds of every window in trading time, and of the present session. #}
{% macro path_windows() %}
    select
        calendar,
        edge,
        trading_ms,
        max(trading_ms) over (partition by calendar) as end_ms,
        sampling_ms
    from
        (
            select distinct calendar, edge, trading_ms, sampling_ms
            from ({{ edge_rows() }})
            union all
            select
                calendar,
                toUInt8({{ session_edge() }}) as edge,
                max(ms_before) as trading_ms,
                {{ session_sampling_ms() }} as sampling_ms
            from {{ ref("trading_session") }}
            where
                opens_at <= {{ as_of() }} and opens_at > {{ as_of() }} - interval 60 day
            group by calendar
        )
    qualify edge > 0
{% endmacro %}

{# Capital of strategies on accounts, with their profit before the oldest point, from which paths add up. #}
{% macro allocated_capital() %}
    select
        capital.strategy_id as strategy_id,
        capital.account as account,
        capital.capital as capital,
        former.profit as profit
    from {{ ref("strategy_capital") }} as capital
    left join
        (
            select
                toString(minute.strategy_id) as strategy_id,
                toString(minute.account) as account,
                sum(minute.realized_pnl - minute.fees) as profit
            from {{ ref("strategy_minute") }} as minute final
            where
                (minute.strategy_id, minute.account)
                in (select strategy_id, account from {{ ref("strategy_capital") }})
                and minute.grid_at
                <= (select min(edge_at) - interval 7 day from ({{ edge_rows() }}))
            group by strategy_id, account
        ) as former
        on capital.strategy_id = former.strategy_id
        and capital.account = former.account
{% endmacro %}

{# The points of every path with what a walk along them names at each step. In a select of its own: what a lambda names of the
   select that it stands in, is analysed anew at each mention. #}
{% macro path_known_points() %}
    select
        *,
        known[1] as first,
        basis = 'account_equity'
        and arrayAll(flow -> flow = first .5, known .5) as is_plain
    from
        (
            select
                item,
                multiIf(
                    item .3 = '',
                    'account_equity',
                    capital > 0,
                    'allocated_capital',
                    'contribution'
                ) as basis,
                edge,
                step_ms,
                window_ms,
                points,
                arrayFilter(point -> point .2, points) as known,
                arrayFilter(
                    place -> points[place] .2 and points[place - 1] .2,
                    range(2, length(points) + 1)
                ) as return_places
            from ({{ path_points() }})
        )
{% endmacro %}

{# Rows (path, edge): the points of every path, in their order. #}
{% macro path_points() %}
    select
        item,
        capital,
        edge,
        step_ms,
        window_ms,
        arrayZip(
            places .1,
            is_known,
            if(strategy = '', equity, profit),
            if(
                capital > 0,
                arrayMap(amount -> capital + former_profit + amount, profit),
                equity
            ),
            if(strategy = '', flow, arrayWithConstant(steps + 1, 0.)),
            places .2,
            places .3
        ) as points
    from
        (
            select
                path_list[path] as item,
                item .3 as strategy,
                arrayFilter(
                    one -> one .1 = item .3 and has(item .2, one .2), capital_list
                ) as capitals,
                if(
                    length(capitals) = length(item .2),
                    arraySum(arrayMap(one -> one .3, capitals)),
                    0.
                ) as capital,
                arraySum(arrayMap(one -> one .4, capitals)) as former_profit,
                edge,
                any(one.step_ms) as step_ms,
                any(one.window_ms) as window_ms,
                any(one.steps) as steps,
                any(one.places) as places,
                minForEach(one.is_known) as is_known,
                cast(
                    arrayResize(
                        sumForEachIf(one.amounts, kind = ''), steps + 1
                    ) as Array(Float64)
                ) as equity,
                cast(
                    arrayResize(
                        sumForEachIf(one.amounts, kind != ''), steps + 1
                    ) as Array(Float64)
                ) as profit,
                cast(sumForEach(one.flows) as Array(Float64)) as flow
            from ({{ path_members() }}) as one
            group by path, edge
        )
{% endmacro %}

{# Rows (path, edge, kind, account): what each account of a path adds to it, an array with an entry for each point. #}
{% macro path_members() %}
    select
        arrayJoin(paths) as path,
        kind,
        edge,
        step_ms,
        window_ms,
        steps,
        arrayMap(value -> (value .1, value .2, value .3), values) as places,
        arrayMap(value -> value .4, values) as is_known,
        arrayMap(value -> value .5, values) as amounts,
        arrayMap(value -> value .6, values) as flows
    from
        (
            select
                any(member.paths) as paths,
                any(member.kind) as kind,
                any(member.edge) as edge,
                any(member.step_ms) as step_ms,
                any(member.window_ms) as window_ms,
                any(member.steps) as steps,
                arraySort(
                    groupArray(
                        (number, at_ms, benchmark_price, is_known, amount, member_flow)
                    )
                ) as
            values
            from ({{ path_values() }}) as member
            group by grid, place
        )
{% endmacro %}

{# Rows (grid, place, number): the equity of an account at a point, or a strategy's profit on it so far. An equity is known
   while its snapshot is not older than twice the step or twice the usual gap between snapshots; it is not carried on. A
   profit stays what it was until the minutes say otherwise. #}
{% macro path_values() %}
    select
        point.*,
        toUnixTimestamp64Milli(point.point_at) as at_ms,
        series.amount as amount,
        if(
            point.kind = '',
            series.at > toDateTime64(0, 6, 'UTC')
            and point.member_ms - series.trading_ms <= point.longest_age_ms,
            (series.at = toDateTime64(0, 6, 'UTC') or series.is_valued)
            and arrayExists(
                valued -> valued .1 = point.member
                and valued .2 + interval 1 minute >= point.seen_at,
                valued_list
            )
            and point.seen_at <= valued_until + interval 1 minute
        ) as is_known,
        arraySum(
            flow -> if(
                flow .1 = point.member
                and flow .2 <= point.point_at
                and point.kind = '',
                flow .3,
                toDecimal128(0, 12)
            ),
            flow_list
        ) as member_flow
    from ({{ path_member_points() }}) as point
    asof left join
        ({{ path_series() }}) as series
        on point.member = series.account
        and point.kind = series.kind
        and point.seen_at >= series.at
{% endmacro %}

{# The points of every grid, once per account and kind of value, with the trading time of the account's own calendar. #}
{% macro path_member_points() %}
    select
        point.*,
        if(
            point.calendar = session.calendar,
            point.point_ms,
            {{ trading_ms("point.point_at", "session.opens_at", "session.closes_at", "session.ms_before") }}
        ) as member_ms,
        if(
            point.kind = '',
            point.point_at,
            least(
                point.point_at,
                toDateTime64(session.closes_at, 6, 'UTC'),
                toDateTime64({{ as_of() }}, 6, 'UTC')
                - toIntervalSecond({{ strategy_value_delay_seconds() }})
            )
        ) as seen_at
    from
        (
            select
                located.* except (members),
                arrayJoin(located.members) as item,
                item .1 as place,
                item .2 as member,
                item .3 as kind,
                item .4 as paths,
                transform(
                    member, account_calendars .1, account_calendars .2, ''
                ) as member_calendar
            from ({{ path_priced_points() }}) as located
        ) as point
    asof left join
        ({{ recent_sessions() }}) as session
        on point.member_calendar = session.calendar
        and point.point_at >= session.opens_at
{% endmacro %}

{# The sessions in which points of paths may lie. #}
{% macro recent_sessions() -%}
    select calendar, opens_at, closes_at, ms_before
    from {{ ref("trading_session") }}
    where opens_at <= {{ as_of() }} and opens_at > {{ as_of() }} - interval 60 day
{%- endmacro %}

{# Rows (account, kind, at): the equity of accounts (kind empty) by snapshot, and the profit of strategies that share an
   account by minute, added up from the oldest point on. #}
{% macro path_series() %}
    select
        toString(snapshot.account) as account,
        '' as kind,
        snapshot.snapshot_at as at,
        snapshot.trading_ms as trading_ms,
        assumeNotNull(snapshot.equity) as amount,
        true as is_valued
    from {{ ref("position_snapshot_fact") }} as snapshot final
    where
        toStartOfHour(snapshot.snapshot_at) >= toStartOfHour(oldest_at)
        and snapshot.snapshot_at > oldest_at
        and snapshot.snapshot_at <= {{ as_of() }}
        and snapshot.equity is not null
        and {{ is_known("snapshots", "snapshot.known_from") }}
        and {{ is_asked("snapshot.account") }}
    union all
    select
        toString(minute.account) as account,
        toString(minute.strategy_id) as kind,
        toDateTime64(minute.grid_at, 6, 'UTC') as at,
        0 as trading_ms,
        sum(minute.realized_pnl - minute.fees) over (
            partition by minute.account, minute.strategy_id
            order by minute.grid_at
            rows between unbounded preceding and current row
        )
        + minute.unrealized_pnl as amount,
        minute.unpriced_positions = 0 as is_valued
    from {{ ref("strategy_minute") }} as minute final
    where
        minute.grid_at > oldest_at
        and minute.grid_at <= {{ as_of() }}
        and minute.strategy_id
        in (select arrayJoin(arrayMap(item -> item .3, path_list)))
        and minute.strategy_id != ''
        and {{ is_asked("minute.account") }}
{% endmacro %}
