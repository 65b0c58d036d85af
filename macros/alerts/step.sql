{# One step of an alert's life: what it remembers, a frame and its policy give what it remembers next.

   The tick applies it once to the newest frame, a rehearsal folds it over stored ones. Values that are used twice are
   bound by arrayMap over one element, since an alias inside a lambda would be copied. #}
{% macro alert_memory_type() -%}
    Tuple(
        state String,
        breaches UInt32,
        clears UInt32,
        seen UInt64,
        seen_at DateTime64(3, 'UTC'),
        alert_id String,
        opened_at DateTime64(3, 'UTC'),
        peak Float64,
        peak_excess Float64,
        evidence Array(Tuple(DateTime64(3, 'UTC'), Float64)),
        transitions Array({{ alert_transition_type() }})
    )
{%- endmacro %}

{# The memory that a row of alert_state holds. #}
{% macro alert_memory_of(row) -%}
    cast(
        (
            {%- for field in ["state", "breaches", "clears", "seen", "seen_at", "alert_id", "opened_at", "peak", "peak_excess", "evidence", "transitions"] %}
                {{ row }}.{{ field }}{{ "," if not loop.last }}
            {%- endfor %}
        ),
        $${{ alert_memory_type() }}$$
    )
{%- endmacro %}

{# What is told of an episode: from which state it went to which, when, why and at what value. #}
{% macro alert_transition_type() -%}
    Tuple(
        at DateTime64(3, 'UTC'),
        previous_state String,
        state String,
        observed Nullable(Float64),
        reason String,
        alert_id String,
        opened_at DateTime64(3, 'UTC'),
        peak Float64,
        evidence Array(Tuple(DateTime64(3, 'UTC'), Float64))
    )
{%- endmacro %}

{# Of a scope that nothing is remembered of. #}
{% macro alert_nothing() -%}
    cast(('normal', 0, 0, 0, 0, '', 0, 0., 0., [], []), $${{ alert_memory_type() }}$$)
{%- endmacro %}

{# A frame as a step sees it. `verdict`: breach, between (neither beyond the threshold nor back behind the clear
   threshold), clear, missing (no value), muted (outside the session), inhibited (a cause is open) or gone. `seen` stands
   for the data: a frame counts when it differs from the one before. #}
{% macro alert_frame_type() -%}
    Tuple(
        as_of DateTime64(3, 'UTC'),
        verdict String,
        value Nullable(Float64),
        excess Float64,
        seen UInt64,
        reason String
    )
{%- endmacro %}

{# `memory`, `frame` and `rule` are names: of columns, or of a lambda's arguments. `rule` has the fields key, open_after
   and clear_after. Transitions older than `kept_seconds` are forgotten. #}
{% macro alert_step(memory, frame, rule, kept_seconds=none) -%}
    {%- set is_active = memory ~ ".alert_id != ''" -%}
    {%- set is_new = "(" ~ frame ~ ".as_of > " ~ memory ~ ".seen_at and " ~ frame ~ ".seen != " ~ memory ~ ".seen)" -%}
    arrayMap(
        (next) -> cast(
            (
                if(next.state = 'resolved', 'normal', next.state),
                if(next.is_open, 0, next.breaches),
                if(next.is_open, next.clears, 0),
                if(
                    {{ frame }}.verdict in ('breach', 'between', 'clear'),
                    {{ frame }}.seen,
                    {{ memory }}.seen
                ),
                -- The end of a scope is no frame of it.
                if(
                    {{ frame }}.verdict in ('gone', 'muted'),
                    {{ memory }}.seen_at,
                    greatest({{ memory }}.seen_at, {{ frame }}.as_of)
                ),
                if(next.is_open, next.alert_id, ''),
                next.opened_at,
                next.peak,
                next.peak_excess,
                if(next.is_open or next.state = 'pending', next.evidence, []),
                arrayConcat(
                    {% if kept_seconds is none %}{{ memory }}.transitions
                    {% else %}
                        arrayFilter(
                            transition -> transition.at
                            > {{ frame }}.as_of - toIntervalSecond({{ kept_seconds }}),
                            {{ memory }}.transitions
                        )
                    {% endif %},
                    if(
                        next.alert_id != '' and next.state != {{ memory }}.state,
                        [
                            cast(
                                (
                                    {{ frame }}.as_of,
                                    {{ memory }}.state,
                                    next.state,
                                    {{ frame }}.value,
                                    {{ frame }}.reason,
                                    next.alert_id,
                                    next.opened_at,
                                    next.peak,
                                    next.evidence
                                ),
                                $${{ alert_transition_type() }}$$
                            )
                        ],
                        []
                    )
                )
            ),
            $${{ alert_memory_type() }}$$
        ),
        arrayMap(
            (counted) -> cast(
                (
                    counted.state,
                    counted.breaches,
                    counted.clears,
                    counted.state in ('open', 'recovering')
                    or (counted.state = 'no_data' and {{ is_active }}),
                    multiIf(
                        {{ is_active }},
                        {{ memory }}.alert_id,
                        counted.state = 'open',
                        lower(hex(sipHash128({{ rule }}.key, {{ frame }}.as_of))),
                        ''
                    ),
                    if({{ is_active }}, {{ memory }}.opened_at, {{ frame }}.as_of),
                    if(
                        {{ is_active }}
                        and (
                            {{ memory }}.peak_excess >= {{ frame }}.excess
                            or {{ frame }}.value is null
                        ),
                        {{ memory }}.peak,
                        ifNull({{ frame }}.value, 0)
                    ),
                    if(
                        {{ is_active }},
                        greatest({{ memory }}.peak_excess, {{ frame }}.excess),
                        {{ frame }}.excess
                    ),
                    if(
                        not {{ is_active }}
                        and {{ frame }}.verdict = 'breach'
                        and {{ is_new }},
                        -- The frames that count are as many as the policy wants.
                        arrayPushBack(
                            if({{ memory }}.breaches = 0, [], {{ memory }}.evidence),
                            ({{ frame }}.as_of, ifNull({{ frame }}.value, 0))
                        ),
                        {{ memory }}.evidence
                    )
                ),
                $$Tuple(state String, breaches UInt32, clears UInt32, is_open Bool, alert_id String, opened_at DateTime64(3, 'UTC'), peak Float64, peak_excess Float64, evidence Array(Tuple(DateTime64(3, 'UTC'), Float64)))$$
            ),
            arrayMap(
                (breaches, clears) -> cast(
                    (
                        multiIf(
                            {{ frame }}.verdict = 'muted',
                            {{ memory }}.state,
                            {{ is_active }},
                            multiIf(
                                {{ frame }}.verdict = 'gone',
                                'resolved',
                                {{ frame }}.verdict = 'inhibited',
                                {{ memory }}.state,
                                {{ frame }}.verdict = 'missing',
                                'no_data',
                                {{ frame }}.verdict in ('breach', 'between'),
                                'open',
                                clears >= {{ rule }}.clear_after,
                                'resolved',
                                clears > 0,
                                'recovering',
                                'open'
                            ),
                            {{ frame }}.verdict = 'breach',
                            multiIf(
                                breaches >= {{ rule }}.open_after,
                                'open',
                                breaches > 0,
                                'pending',
                                'normal'
                            ),
                            {{ frame }}.verdict = 'missing',
                            if({{ memory }}.state = 'pending', 'pending', 'no_data'),
                            'normal'
                        ),
                        breaches,
                        clears
                    ),
                    'Tuple(state String, breaches UInt32, clears UInt32)'
                ),
                [
                    multiIf(
                        {{ frame }}.verdict in ('muted', 'missing'),
                        {{ memory }}.breaches,
                        {{ frame }}.verdict = 'breach' and not {{ is_active }},
                        {{ memory }}.breaches + {{ is_new }},
                        0
                    )
                ],
                [
                    multiIf(
                        {{ frame }}.verdict in ('muted', 'missing', 'inhibited'),
                        {{ memory }}.clears,
                        {{ frame }}.verdict = 'clear' and {{ is_active }},
                        {{ memory }}.clears + {{ is_new }},
                        0
                    )
                ]
            )
        )
    )[1]
{%- endmacro %}
