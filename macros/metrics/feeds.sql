{# How fresh the feeds are that the metrics of a scope rest on. #}
{# Rows (strategy_id, account): the signals of the instruments that are active in a scope, the market context of its last
   review, and how far the mirror is. Every scope has a row, whatever it holds. #}
{% macro scope_feeds() %}
    with
        {{ window_constants() }},
        (
            select max(checkpoints) from {{ ref("stg_mirror__progress") }}
        ) as mirror_checkpoints,
        (
            select groupArray((symbol, signal_at)) from ({{ latest_signals() }})
        ) as latest,
        evidence as (
            select
                account,
                strategy_id,
                symbol,
                toDateTime64(0, 6, 'UTC') as reviewed_at,
                toFloat64(0) as context_age
            from ({{ active_symbols() }})
            union all
            select
                account,
                strategy_id,
                '' as symbol,
                reviewed_at,
                age_seconds as context_age
            from {{ ref("context_review") }} final
            where
                toStartOfHour(reviewed_at) <= toStartOfHour({{ as_of() }})
                and toStartOfHour(reviewed_at) > {{ as_of() }} - interval 60 day
                and reviewed_at <= {{ settled_at() }}
                and account != ''
            order by reviewed_at desc, review_id
            limit 1 by account, strategy_id
            union all
            select
                account,
                strategy_id,
                '' as symbol,
                toDateTime64(0, 6, 'UTC') as reviewed_at,
                toFloat64(0) as context_age
            from {{ ref("scope_evidence") }}
            where first_at <= {{ as_of() }}
        )
    select
        scope .1 as strategy_id,
        scope .2 as account,
        arraySort(groupUniqArrayIf(symbol, symbol != '')) as active_symbols,
        arraySort(
            arrayFilter(
                signal -> has(active_symbols, signal .1) or empty(active_symbols),
                latest
            )
        ) as signals,
        arraySort(
            arrayFilter(symbol -> not has(latest .1, symbol), active_symbols)
        ) as unseen_symbols,
        max(evidence.reviewed_at) as reviewed_at,
        argMax(evidence.context_age, evidence.reviewed_at) as context_age,
        mirror_checkpoints as checkpoints,
        {{ mirrored_until() }} as mirrored_until
    from
        (
            select
                toString(symbol) as symbol,
                reviewed_at,
                context_age,
                arrayJoin(
                    {{ scopes("toString(strategy_id)", "toString(account)") }}
                ) as scope
            from evidence
        ) as evidence
    group by strategy_id, account
{% endmacro %}

{# Constants of a reader: `bounds`, [(calendar, edge, edge_at, sampling_ms)] of the windows, and `calendars`, [(account,
   calendar)]. A query with a name would be planned anew in each place that names it. #}
{% macro window_constants() -%}
    (
        select groupUniqArray((calendar, edge, edge_at, sampling_ms))
        from ({{ edge_rows() }})
        where edge > 0
    ) as bounds,
    (
        select groupUniqArray((toString(account), calendar)) from ({{ edge_rows() }})
    ) as calendars
{%- endmacro %}

{# The second as rows. #}
{% macro account_calendars() %}
    select item .1 as account, item .2 as calendar
    from (select arrayJoin(calendars) as item)
{% endmacro %}

{# Rows (symbol, signal_at): the last row of ta_signals of each instrument up to the moment of evaluation, of the last
   sixty days.

   Of an hour that is over, symbol_hour has it; of the one that runs, the last minute before this one, which is then read.
   What came since the last refresh is in the last minutes. #}
{% macro latest_signals() %}
    {%- set minute = "toStartOfMinute(toDateTime(" ~ as_of() ~ ", 'UTC'))" -%}
    with
        (
            select groupUniqArray(minute_at)
            from
                (
                    select
                        hour_at + toIntervalMinute(
                            arrayMax(
                                bitPositionsToArray(
                                    bitAnd(
                                        groupBitOr(signal_minutes),
                                        bitShiftLeft(
                                            toUInt64(1), toMinute({{ as_of() }})
                                        )
                                        - 1
                                    )
                                )
                            )
                        ) as minute_at
                    from {{ ref("symbol_hour") }}
                    where hour_at = toStartOfHour({{ as_of() }})
                    group by hour_at, symbol
                    union all
                    select {{ minute }} - toIntervalMinute(arrayJoin(range(3)))
                )
        ) as minutes
    select symbol, max(at) as signal_at
    from
        (
            select toString(symbol) as symbol, last_signal_at as at
            from {{ ref("symbol_hour") }}
            where
                hour_at < toStartOfHour({{ as_of() }})
                and hour_at > {{ as_of() }} - interval 60 day
            union all
            select toString(symbol) as symbol, signal_at as at
            from {{ ref("stg_torghut__ta_signals") }}
            where
                toStartOfMinute(signal_at) in (select arrayJoin(minutes))
                and signal_at <= {{ as_of() }}
                and {{ is_ingested("ingested_at") }}
        )
    group by symbol
    having toYear(signal_at) > 1970
{% endmacro %}

{# Rows (strategy_id, account, symbol): what is open at the moment of evaluation, and what strategies decided on in the
   session of the account that opened last. #}
{% macro active_symbols() %}
    select account, strategy_id, symbol
    from ({{ holding_toggles() }})
    group by account, strategy_id, symbol
    having count() % 2 = 1
    union distinct
    select
        decided.account as account,
        decided.strategy_id as strategy_id,
        decided.symbol as symbol
    from {{ ref("decided_symbol") }} as decided
    inner join ({{ account_calendars() }}) as edge on decided.account = edge.account
    inner join ({{ last_sessions() }}) as session on edge.calendar = session.calendar
    where
        decided.half_hour_at <= {{ as_of() }}
        and decided.half_hour_at >= (select min(opened_at) from ({{ last_sessions() }}))
        and decided.half_hour_at >= session.opened_at
        and decided.first_at <= {{ settled_at() }}
{% endmacro %}

{# The session of each calendar that opened last. #}
{% macro last_sessions() %}
    select calendar, max(trading_session.opens_at) as opened_at
    from {{ ref("trading_session") }} as trading_session
    where
        opens_at <= {{ as_of() }}
        and opens_at > {{ as_of() }} - interval 60 day
        and calendar in (select arrayJoin(bounds .1))
    group by calendar
{% endmacro %}

{# Rows (account, strategy_id, symbol, at): the moments at which a position was opened or closed, in turn; the first one,
   long ago, where it was open before the others. So an odd number of them says that it is open.

   `since` is the first moment of interest; without one only the state at the end is right. Beyond the hours of
   holding_hour, and within the last ones, in which seconds count, the ledger itself is read. Where neither has anything
   of a position, it is as the last hour left it in which anything happened on the account. #}
{% macro holding_toggles(since=none) %}
    with
        {{ flips_until() }} as flips_until,
        least(
            flips_until, toStartOfHour({{ as_of() }} - interval 16 minute)
        ) as read_from,
        (
            select groupArray((account, hour_at))
            from
                (
                    select account, max({{ last_hour_before("before") }}) as hour_at
                    from
                        (
                            select
                                toString(account) as account,
                                day_at,
                                active_hours,
                                least(
                                    flips_until, toStartOfHour({{ as_of() }})
                                ) as before
                            from {{ ref("strategy_day") }} final
                            where account != ''
                        )
                    group by account
                )
        ) as base_hours
    select
        account,
        strategy_id,
        symbol,
        arrayJoin(
            arrayConcat(
                if(initial = 1, [toDateTime64(0, 6, 'UTC')], []), arrayFlatten(moments)
            )
        ) as at
    from
        (
            select
                account,
                strategy_id,
                symbol,
                argMin(was_open, (kind, rows.first_at)) as initial,
                groupArray(moments) as moments
            from
                (
                    select
                        account,
                        strategy_id,
                        symbol,
                        1 as kind,
                        (executed_at, sequence, fill_id) as first_at,
                        toUInt8(position_before != 0) as was_open,
                        [executed_at] as moments
                    from
                        {{
                            known_ledger(
                                "toStartOfHour(executed_at) >= read_from and executed_at <= " ~ as_of()
                                ~ " and toStartOfHour(executed_at) <= toStartOfHour(" ~ as_of() ~ ")"
                            )
                        }}
                        and {{ is_flip() }}
                    {%- if since %}
                        union all
                        select
                            account,
                            strategy_id,
                            symbol,
                            1 as kind,
                            (
                                toDateTime64(hour_at, 6, 'UTC'), toUInt64(0), ''
                            ) as first_at,
                            was_open,
                            arrayMap(
                                minute -> toDateTime64(
                                    hour_at + toIntervalMinute(minute), 6, 'UTC'
                                ),
                                bitPositionsToArray(flip_minutes)
                            ) as moments
                        from {{ ref("holding_hour") }} final
                        where
                            hour_at >= toStartOfHour({{ since }})
                            and hour_at < read_from
                            and account != ''
                    {%- endif %}
                    union all
                    select
                        account,
                        strategy_id,
                        symbol,
                        2 as kind,
                        (toDateTime64(0, 6, 'UTC'), toUInt64(0), '') as first_at,
                        toUInt8(1) as was_open,
                        [] as moments
                    from {{ ref("position_hour") }} final
                    where
                        (account, hour_at)
                        in (select arrayJoin(base_hours) .1, arrayJoin(base_hours) .2)
                        and quantity != 0
                ) as rows
            group by account, strategy_id, symbol
        )
{% endmacro %}
