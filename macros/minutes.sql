{# Minutes of an hour as the bits of a number: what the market showed, and when positions were opened and closed. #}
{# The number of the minute that ends at or behind a moment, 0 for the start of the hour, 60 for its end. #}
{% macro minute_behind(moment) -%}
    toUInt8(
        intDiv(
            toUnixTimestamp64Micro({{ moment }})
            - 1000000 * toUnixTimestamp(toStartOfHour({{ moment }}))
            + 59999999,
            60000000
        )
    )
{%- endmacro %}

{# Whether a row of the ledger opens or closes a position. #}
{% macro is_flip() -%}(position_before = 0) != (position_after = 0) {%- endmacro %}

{# Whether an order with this status is over. #}
{% macro is_terminal(status) -%}
    {{ status }} in ('filled', 'canceled', 'expired', 'rejected', 'replaced')
{%- endmacro %}

{# Oldest quote or bar that still values a position, in milliseconds of trading time. #}
{% macro maximum_mark_age_ms() %} {{ return(60000) }} {% endmacro %}

{# What the pipeline wrote since `cursor`, by symbol and hour, with the cursor: about events of the last `days` before it,
   or all. A row may become visible some time after its stamp, so some minutes are looked at twice. #}
{% macro symbol_hours(cursor, days=none) %}
    {%- set read -%}
        ingested_at > done - interval 5 minute
        {%- if days %} and event_at > done - interval {{ days }} day {%- endif %}
    {%- endset -%}
    with
        (
            select max({{ cursor }})
            from {{ ref("symbol_hour") }}
            where hour_at = toDateTime(0, 'UTC')
        ) as done,
        signals as (
            select toString(symbol) as symbol, signal_at as event_at, ingested_at
            from {{ ref("stg_torghut__ta_signals") }}
            where {{ read }}
        ),
        -- A quote or bar values a position at every full minute from the moment at
        -- which it is known until its age is the highest.
        marks as (
            select
                toString(symbol) as symbol,
                quoted_at as event_at,
                quoted_at as known_at,
                ingested_at
            from {{ ref("stg_torghut__ta_quotes") }}
            where {{ read }}
            union all
            select
                toString(symbol) as symbol,
                bar_at as event_at,
                closed_at as known_at,
                ingested_at
            from {{ ref("stg_torghut__ta_bars") }}
            where {{ read }}
        )
    select
        toStartOfHour(at) as hour_at,
        symbol,
        groupBitOr(bitShiftLeft(toUInt64(is_signal), toMinute(at))) as signal_minutes,
        groupBitOr(
            bitShiftLeft(toUInt64(not is_signal), toMinute(at))
        ) as marked_minutes,
        maxIf(events.signal_at, is_signal) as last_signal_at,
        toDateTime64(0, 3, 'UTC') as ingested_until,
        toDateTime64(0, 3, 'UTC') as swept_until
    from
        (
            select
                symbol,
                toDateTime(event_at, 'UTC') as at,
                event_at as signal_at,
                true as is_signal
            from signals
            union all
            select
                symbol,
                arrayJoin(
                    arrayMap(
                        minute -> toDateTime(60 * minute, 'UTC'),
                        range(
                            intDiv(toUnixTimestamp64Milli(known_at) + 59999, 60000),
                            1 + intDiv(
                                toUnixTimestamp64Milli(event_at)
                                + {{ maximum_mark_age_ms() }},
                                60000
                            )
                        )
                    )
                ) as at,
                toDateTime64(0, 3, 'UTC') as signal_at,
                false as is_signal
            from marks
        ) as events
    group by hour_at, symbol
    union all
    -- The cursor.
    select
        toDateTime(0, 'UTC') as hour_at,
        '' as symbol,
        0 as signal_minutes,
        0 as marked_minutes,
        toDateTime64(0, 3, 'UTC') as last_signal_at,
        {%- for column in ["ingested_until", "swept_until"] %}
            {%- if column == cursor %} max(ingested_at) as {{ column }}
            {%- else %} toDateTime64(0, 3, 'UTC') as {{ column }}
            {%- endif -%}
            {{ "," if not loop.last }}
        {%- endfor %}
    from
        (
            select ingested_at
            from signals
            union all
            select ingested_at
            from marks
        )
    having max(ingested_at) > done
{% endmacro %}

{# The first hour of which holding_hour does not, or no longer, know the flips, or was not known to. #}
{% macro flips_until() -%}
    {#- Outside of the condition, so that dbt sees what it names. -#}
    {%- set hour = first_unflipped_hour(known_until("ledger")) -%}
    {{ hour if is_live() else "known_state.flips_until" }}
{%- endmacro %}
{% macro first_unflipped_hour(ledger_until) -%}
    (
        select min(until)
        from
            (
                select argMax(known_until, revision) as until
                from {{ ref("holding_hour") }}
                where hour_at = toDateTime(0, 'UTC') and account = ''
                union all
                select toDateTime(argMax(last_fill_at, revision), 'UTC') as until
                from {{ ref("strategy_day") }}
                where day_at = toDateTime(0, 'UTC') and account = ''
                union all
                select toStartOfHour(executed_at) as until
                from {{ ref("position_ledger") }}
                where
                    revision > least(
                        (
                            select argMax(ledger_revision, revision)
                            from {{ ref("holding_hour") }}
                            where hour_at = toDateTime(0, 'UTC') and account = ''
                        ),
                        {{ ledger_until }}
                    )
                    and notEmpty(account)
            )
    )
{%- endmacro %}
