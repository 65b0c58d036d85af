{# How much of what was held, ordered or watched the market data cover. #}
{# Rows (strategy_id, account, window_edge): at how many points of the window's grid an instrument was held or ordered in
   the scope and at how many of those it had no mark; how many minutes should have had a signal, and how many had none.

   The points of a window are the multiples of its step from the opening of each session on. They are the bits of some
   numbers, each number of one window, so whatever is held or quoted from when until when is one row however long it
   lasts: the points behind a moment are looked up, and spans combine by `or` and `xor`. #}
{% macro scope_coverage() %}
    with
        {{ window_constants() }},
        (
            select groupArray((calendar, edge, word, bit, point_at))
            from
                (
                    select
                        *,
                        toUInt16(
                            dense_rank() over (
                                partition by calendar order by edge, part
                            )
                        ) as word
                    from
                        (
                            select
                                *,
                                row_number() over (
                                    partition by calendar, edge order by point_at
                                )
                                - 1 as number,
                                intDiv(number, 64) as part,
                                toUInt8(number % 64) as bit
                            from ({{ grid_points() }})
                        )
                )
        ) as grid,
        -- Every point with the bits that it stands for, and with all from it on.
        (
            select groupArray((calendar, point_at, own, behind))
            from
                (
                    select
                        *,
                        groupBitOrForEach(own) over (
                            partition by calendar
                            order by point_at desc
                            rows between unbounded preceding and current row
                        ) as behind
                    from
                        (
                            select
                                point .1 as calendar,
                                point .5 as point_at,
                                groupBitOrForEach(
                                    arrayMap(
                                        place -> if(
                                            place = point .3,
                                            bitShiftLeft(toUInt64(1), point .4),
                                            toUInt64(0)
                                        ),
                                        range(
                                            toUInt16(1), toUInt16(1 + arrayMax(grid .3))
                                        )
                                    )
                                ) as own
                            from (select arrayJoin(grid) as point)
                            group by calendar, point_at
                        )
                )
        ) as points,
        (
            select groupArray((calendar, edge, hour_at, minutes))
            from ({{ signal_slots() }})
        ) as slots,
        (
            select groupArray((calendar, symbol, bits))
            from
                (
                    select calendar, symbol, groupBitOrForEach(parts.bits) as bits
                    from
                        (
                            {{ point_bits(mark_toggles(), "calendar, symbol") }}
                            union all
                            -- Before the last minutes, the full minutes at which there
                            -- was one.
                            select
                                own.point .1 as calendar,
                                marks.symbol as symbol,
                                own.point .3 as bits
                            from ({{ marked_minutes() }}) as marks
                            inner join
                                (
                                    select arrayJoin(points) as point, point .2 as at
                                ) as own
                                on marks.at = own.at
                        ) as parts
                    group by calendar, symbol
                )
        ) as marked,
        held as (
            select
                scope .1 as strategy_id,
                scope .2 as account,
                calendar,
                symbol,
                groupBitOrForEach(spans.bits) as bits
            from
                (
                    select *, arrayJoin({{ scopes("strategy_id", "account") }}) as scope
                    from
                        (
                            {{
                                point_bits(
                                    holding_and_order_toggles(), "calendar, account, strategy_id, symbol"
                                )
                            }}
                        )
                ) as spans
            group by scope, calendar, symbol
        ),
        priced as (
            select
                strategy_id,
                account,
                calendar,
                sumForEach(arrayMap(word -> bitCount(word), bits)) as expected,
                sumForEach(unmarked) as missing,
                groupArrayIf((symbol, unmarked), arraySum(unmarked) > 0) as symbols
            from
                (
                    select
                        held.strategy_id as strategy_id,
                        held.account as account,
                        held.calendar as calendar,
                        held.symbol as symbol,
                        held.bits as bits,
                        -- Without any mark, the other side is an empty array.
                        arrayMap(
                            (word, found) -> bitCount(bitAnd(word, bitNot(found))),
                            held.bits,
                            arrayResize(marks.bits, length(held.bits))
                        ) as unmarked
                    from held
                    left join
                        (
                            select
                                item .1 as calendar, item .2 as symbol, item .3 as bits
                            from (select arrayJoin(marked) as item)
                        ) as marks
                        on held.calendar = marks.calendar
                        and held.symbol = marks.symbol
                )
            group by strategy_id, account, calendar
        ),
        prices as (
            select
                priced.strategy_id as strategy_id,
                priced.account as account,
                words.place .2 as window_edge,
                sum(priced.expected[words.place .3]) as expected_prices,
                sum(priced.missing[words.place .3]) as missing_prices,
                sumMap(
                    arrayMap(item -> item .1, symbols),
                    arrayMap(item -> toUInt64(item .2 [words.place .3]), symbols)
                ) as by_symbol
            from priced
            inner join
                (
                    select
                        arrayJoin(
                            arrayDistinct(
                                arrayMap(point -> (point .1, point .2, point .3), grid)
                            )
                        ) as place,
                        place .1 as calendar
                ) as words
                on priced.calendar = words.calendar
            group by strategy_id, account, window_edge
        ),
        signalled as (
            select
                slots.calendar as calendar,
                slots.edge as edge,
                signals.symbol as symbol,
                sum(bitCount(bitAnd(slots.minutes, signals.minutes))) as minutes
            from ({{ slot_rows() }}) as slots
            inner join
                ({{ signal_minutes() }}) as signals on slots.hour_at = signals.hour_at
            group by calendar, edge, symbol
        ),
        watched as (
            select distinct
                scope .1 as strategy_id, scope .2 as account, calendar, symbol
            from
                (
                    select
                        edge.calendar as calendar,
                        toString(active.symbol) as symbol,
                        arrayJoin(
                            {{ scopes("toString(active.strategy_id)", "toString(active.account)") }}
                        ) as scope
                    from ({{ active_symbols() }}) as active
                    inner join
                        ({{ account_calendars() }}) as edge
                        on active.account = edge.account
                )
        ),
        signals as (
            select
                watched.strategy_id as strategy_id,
                watched.account as account,
                expected.edge as window_edge,
                sum(expected.minutes) as expected_signals,
                sum(expected.minutes - signalled.minutes) as missing_signals,
                groupArrayIf(
                    (watched.symbol, toUInt64(expected.minutes - signalled.minutes)),
                    expected.minutes > signalled.minutes
                ) as by_symbol
            from watched
            inner join
                (
                    select calendar, edge, sum(bitCount(slots.minutes)) as minutes
                    from ({{ slot_rows() }}) as slots
                    group by calendar, edge
                ) as expected
                on watched.calendar = expected.calendar
            left join
                signalled
                on watched.calendar = signalled.calendar
                and expected.edge = signalled.edge
                and watched.symbol = signalled.symbol
            group by strategy_id, account, window_edge
        ),
        lengths as (
            select calendar, edge, sum(minutes) as minutes, sum(points) as points
            from
                (
                    select
                        calendar, edge, bitCount(slots.minutes) as minutes, 0 as points
                    from ({{ slot_rows() }}) as slots
                    union all
                    select
                        point .1 as calendar,
                        point .2 as edge,
                        0 as minutes,
                        1 as points
                    from (select arrayJoin(grid) as point)
                    union all
                    select
                        bound .1 as calendar,
                        bound .2 as edge,
                        0 as minutes,
                        0 as points
                    from (select arrayJoin(bounds) as bound)
                )
            group by calendar, edge
        )
    select
        bases.strategy_id as strategy_id,
        bases.account as account,
        bases.window_edge as window_edge,
        bases.signal_slots as signal_slots,
        bases.price_points as price_points,
        prices.expected_prices as expected_prices,
        prices.missing_prices as missing_prices,
        {{ worst("arrayZip(prices.by_symbol .1, prices.by_symbol .2)") }}
        as unpriced_symbols,
        signals.expected_signals as expected_signals,
        toUInt64(signals.missing_signals) as missing_signals,
        {{ worst("signals.by_symbol") }} as silent_symbols
    from
        (
            select
                scope .1 as strategy_id,
                scope .2 as account,
                lengths.edge as window_edge,
                sum(lengths.minutes) as signal_slots,
                sum(lengths.points) as price_points
            from
                (
                    select distinct
                        edge.calendar as calendar,
                        arrayJoin(
                            {{ scopes("toString(evidence.strategy_id)", "toString(evidence.account)") }}
                        ) as scope
                    from {{ ref("scope_evidence") }} as evidence
                    inner join
                        ({{ account_calendars() }}) as edge
                        on evidence.account = edge.account
                    where evidence.first_at <= {{ as_of() }}
                ) as members
            inner join lengths on members.calendar = lengths.calendar
            group by scope, window_edge
        ) as bases
    left join
        prices
        on bases.strategy_id = prices.strategy_id
        and bases.account = prices.account
        and bases.window_edge = prices.window_edge
    left join
        signals
        on bases.strategy_id = signals.strategy_id
        and bases.account = signals.account
        and bases.window_edge = signals.window_edge
{% endmacro %}

{# Rows with `bits` for every toggled span of `toggles`, whose columns are `keys`, entity and at: the points of the windows
   at which it was there. `points` is a constant of the reader. #}
{% macro point_bits(toggles, keys) %}
    select {{ keys }}, groupBitXorForEach(behind.point .4) as bits
    from ({{ toggles }}) as toggles
    asof inner join
        (
            select
                arrayJoin(points) as point,
                point .1 as point_calendar,
                point .2 as point_at
        ) as behind
        on toggles.calendar = behind.point_calendar
        and toggles.at <= behind.point_at
    group by {{ keys }}, entity
{% endmacro %}

{# The constant `slots` of the reader as rows. #}
{% macro slot_rows() %}
    select item .1 as calendar, item .2 as edge, item .3 as hour_at, item .4 as minutes
    from (select arrayJoin(slots) as item)
{% endmacro %}

{# The worst five of [(symbol, count)]. #}
{% macro worst(items) -%}
    arraySlice(
        arraySort(
            item -> (- toInt64(item .2), item .1),
            arrayFilter(item -> item .2 > 0, {{ items }})
        ),
        1,
        5
    )
{%- endmacro %}

{# How long after the end of its minute a signal may come before it is missing, in milliseconds. #}
{% macro signal_grace_ms() %} {{ return(10000) }} {% endmacro %}

{# Rows (calendar, edge, opens_ms, closes_ms, start_ms, step_ms, now_ms): the sessions of every window. #}
{% macro window_sessions() %}
    select
        edge.calendar as calendar,
        edge.edge as edge,
        toUnixTimestamp64Milli(session.opens_at) as opens_ms,
        toUnixTimestamp64Milli(session.closes_at) as closes_ms,
        toUnixTimestamp64Milli(edge.edge_at) as start_ms,
        edge.sampling_ms as step_ms,
        toUnixTimestamp64Milli({{ as_of() }}) as now_ms
    from
        (
            select
                bound .1 as calendar,
                bound .2 as edge,
                bound .3 as edge_at,
                bound .4 as sampling_ms
            from (select arrayJoin(bounds) as bound)
        ) as edge
    inner join
        (
            select calendar, opens_at, closes_at
            from {{ ref("trading_session") }}
            where
                opens_at < {{ as_of() }} and opens_at > {{ as_of() }} - interval 60 day
        ) as session
        on edge.calendar = session.calendar
    where session.closes_at > edge.edge_at - interval 1 minute
{% endmacro %}

{# The points of every window: those multiples of its step from an opening on that lie in the session and the window. #}
{% macro grid_points() %}
    select
        calendar,
        edge,
        toDateTime64(
            fromUnixTimestamp64Milli(
                opens_ms
                + step_ms
                * arrayJoin(
                    range(
                        1 + intDiv(greatest(0, start_ms - opens_ms), step_ms),
                        1 + intDiv(least(now_ms, closes_ms) - opens_ms, step_ms)
                    )
                ),
                'UTC'
            ),
            6,
            'UTC'
        ) as point_at
    from ({{ window_sessions() }})
{% endmacro %}

{# The minutes that should have had a signal, as bits of their hours. A minute belongs to the window in which its time was
   up. #}
{% macro signal_slots() %}
    select
        calendar,
        edge,
        toStartOfHour(minute_at) as hour_at,
        groupBitOr(bitShiftLeft(toUInt64(1), toMinute(minute_at))) as minutes
    from
        (
            select
                calendar,
                edge,
                toDateTime(
                    intDiv(opens_ms, 1000)
                    + 60
                    * arrayJoin(
                        range(
                            intDiv(
                                greatest(
                                    0, start_ms - {{ signal_grace_ms() }} - opens_ms
                                ),
                                60000
                            ),
                            intDiv(
                                greatest(
                                    0,
                                    least(now_ms - {{ signal_grace_ms() }}, closes_ms)
                                    - opens_ms
                                ),
                                60000
                            )
                        )
                    ),
                    'UTC'
                ) as minute_at
            from ({{ window_sessions() }})
        )
    group by calendar, edge, hour_at
{% endmacro %}

{# Rows (symbol, hour_at, minutes): the minutes with a signal; those of the last ones from the source itself. #}
{% macro signal_minutes() %}
    select symbol, hour_at, groupBitOr(parts.minutes) as minutes
    from
        (
            select toString(symbol) as symbol, hour_at, signal_minutes as minutes
            from {{ ref("symbol_hour") }}
            where
                hour_at >= toStartOfHour(arrayMin(bounds .3) - interval 2 minute)
                and hour_at <= {{ as_of() }}
            union all
            select
                toString(symbol) as symbol,
                toStartOfHour(toDateTime(signal_at, 'UTC')) as hour_at,
                bitShiftLeft(toUInt64(1), toMinute(signal_at)) as minutes
            from {{ ref("stg_torghut__ta_signals") }}
            where toStartOfMinute(signal_at) in ({{ last_minutes(4) }})
        ) as parts
    group by symbol, hour_at
{% endmacro %}

{# Rows (symbol, at): the full minutes at which there was a mark. #}
{% macro marked_minutes() %}
    select
        symbol,
        toDateTime64(hour_at + toIntervalMinute(arrayJoin(minutes)), 6, 'UTC') as at
    from
        (
            select
                toString(symbol) as symbol,
                hour_at,
                bitPositionsToArray(groupBitOr(marked_minutes)) as minutes
            from {{ ref("symbol_hour") }}
            where
                hour_at >= toStartOfHour(arrayMin(bounds .3))
                and hour_at <= {{ as_of() }}
                and symbol != ''
            group by symbol, hour_at
        )
{% endmacro %}

{# The last minutes of the clock. #}
{% macro last_minutes(count) -%}
    select
        toStartOfMinute(toDateTime({{ as_of() }}, 'UTC'))
        - toIntervalMinute(arrayJoin(range({{ count }})))
{%- endmacro %}

{# Rows (symbol, known_at, until_at): quotes and bars that began in the given minutes of the clock, from when on they are
   known and from when on they are too old. #}
{% macro marks_of_minutes(minutes) %}
    select
        symbol,
        toDateTime64(known_at, 6, 'UTC') as known_at,
        toDateTime64(event_at, 6, 'UTC')
        + interval {{ maximum_mark_age_ms() }} millisecond
        + interval 1 microsecond as until_at
    from
        (
            select
                toString(symbol) as symbol, quoted_at as event_at, quoted_at as known_at
            from {{ ref("stg_torghut__ta_quotes") }}
            where
                toStartOfMinute(quoted_at) in ({{ minutes }})
                and {{ is_ingested("ingested_at") }}
            union all
            select toString(symbol) as symbol, bar_at as event_at, closed_at as known_at
            from {{ ref("stg_torghut__ta_bars") }}
            where
                toStartOfMinute(bar_at) in ({{ minutes }})
                and {{ is_ingested("ingested_at") }}
        )
{% endmacro %}

{# Rows (calendar, account, strategy_id, symbol, entity, at): the moments from which on a position or an order was there,
   or was not, in turn. #}
{% macro holding_and_order_toggles() %}
    select
        edge.calendar as calendar,
        toString(held.account) as account,
        toString(held.strategy_id) as strategy_id,
        toString(held.symbol) as symbol,
        held.entity as entity,
        held.at as at
    from
        (
            select account, strategy_id, symbol, '' as entity, at
            from ({{ holding_toggles(since="arrayMin(bounds.3)") }})
            union all
            select
                account,
                strategy_id,
                symbol,
                toString(order_id) as entity,
                arrayJoin([working_from, working_until]) as at
            from {{ ref("working_order") }} final
            where
                account != ''
                and working_from <= {{ settled_at() }}
                and working_until > arrayMin(bounds .3)
                and (
                    is_brief = 0
                    or toStartOfHour(working_from)
                    >= toStartOfHour({{ as_of() }} - interval 16 minute)
                )
        ) as held
    inner join ({{ account_calendars() }}) as edge on held.account = edge.account
{% endmacro %}

{# Rows (calendar, symbol, entity, at): the same of a mark. #}
{% macro mark_toggles() %}
    {%- set openings -%}
    select calendar, opens_at, closed_before
    from ({{ grid_sessions(as_of()) }})
    where
        opens_at <= {{ as_of() }}
        and opens_at > {{ as_of() }} - interval 16 minute
        and closed_before < opens_at
    {%- endset -%}
    select others.calendar as calendar, symbol, '' as entity, at
    from
        (
            -- Marks that follow one another in time are one span.
            select symbol, arrayJoin([min(known_at), max(until_at)]) as at
            from
                (
                    select
                        *,
                        sum(known_at > reach) over (
                            partition by symbol
                            order by known_at, until_at
                            rows between unbounded preceding and current row
                        ) as span
                    from
                        (
                            select
                                *,
                                max(until_at) over (
                                    partition by symbol
                                    order by known_at, until_at
                                    rows between unbounded preceding and 1 preceding
                                ) as reach
                            from ({{ marks_of_minutes(last_minutes(18)) }})
                            where known_at < until_at
                        )
                )
            group by symbol, span
        ) as spans
    cross join (select arrayJoin(arrayDistinct(bounds .1)) as calendar) as others
    union all
    -- The last mark before a close, in the first minute of the next session.
    select
        opening.calendar as calendar,
        symbol,
        'before the opening' as entity,
        arrayJoin(
            [
                toDateTime64(opening.opens_at, 6, 'UTC'),
                toDateTime64(opening.opens_at, 6, 'UTC') + toIntervalMicrosecond(
                    least(
                        60000000,
                        dateDiff(
                            'microsecond', opening.closed_before, max(marks.until_at)
                        )
                    )
                )
            ]
        ) as at
    from
        (
            {{
                marks_of_minutes(
                    "select arrayJoin([toStartOfMinute(toDateTime(closed_before, 'UTC')),"
                    " toStartOfMinute(toDateTime(closed_before, 'UTC')) - interval 1 minute])"
                    " from (" ~ openings ~ ")"
                )
            }}
        ) as marks
    cross join ({{ openings }}) as opening
    where
        marks.known_at <= opening.closed_before
        and marks.until_at > opening.closed_before
    group by calendar, symbol, opening.opens_at, opening.closed_before
{% endmacro %}
