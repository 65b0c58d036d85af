{# The position ledger by average cost: the only place where its formula stands.

   Each event of a key leaves a state: position q, cost C and entry fees X of what is open, and the mean moment at which
   it was opened. Every state follows from the one before it and is rounded where it is stored, so any row of the ledger
   is a checkpoint: folding on from it gives the digits that a clean rebuild gives. #}
{# Number of events that are folded into one array of states: appending to an array copies it. The chunks of all keys
   are folded side by side. #}
{% macro ledger_chunk() -%} 64 {%- endmacro %}

{# Columns of a state, as they are called in the ledger. #}
{% macro ledger_state() -%}
    {{ return({
        'ordinal': 'UInt64', 'position_after': 'Decimal(38, 9)', 'open_cost': 'Decimal(38, 12)',
        'open_fee': 'Decimal(38, 12)', 'open_time': 'Float64',
    }) }}
{%- endmacro %}

{# What a head keeps of the last row of its key. #}
{% macro ledger_head_columns() -%}
    account,
    strategy_id,
    symbol,
    executed_at,
    sequence,
    fill_id,
    price,
    {% for column in ledger_state() %} {{ column }},{% endfor %}
    revision
{%- endmacro %}

{# The state as one value. #}
{% macro ledger_state_of(relation) -%}
    cast(
        (
            {% for column in ledger_state() %}
                {{ relation }}.{{ column }}{{ ", " if not loop.last }}
            {% endfor %}
        ) as {{ ledger_state_type() }}
    )
{%- endmacro %}

{# The state before a row of the ledger. Cost and fees are conserved: what an event brought in and did not take out is
   what they grew by. Before the first row of a key there is nothing, whatever that row says: a key that is folded anew
   from its beginning owes nothing to what was there. #}
{% macro ledger_state_before(relation) -%}
    if(
        {{ relation }}.ordinal = 1 and not {{ relation }}.is_deleted,
        defaultValueOfTypeName($${{ ledger_state_type() }}$$),
        cast(
            (
                {{ relation }}.ordinal - not {{ relation }}.is_deleted,
                {{ relation }}.position_before,
                abs(
                    sign({{ relation }}.position_after) * {{ relation }}.open_cost
                    - sign({{ relation }}.signed_quantity) * {{ relation }}.notional
                    - {{ relation }}.gross_realized_pnl
                ),
                {{ relation }}.open_fee
                + {{ relation }}.closing_fee
                - if({{ relation }}.is_deleted, 0, ifNull({{ relation }}.fee, 0)),
                {{ relation }}.open_time_before
            ) as {{ ledger_state_type() }}
        )
    )
{%- endmacro %}

{# Its type; a state of zeros is what a key starts from. #}
{% macro ledger_state_type() -%}
    Tuple(
        {% for column, type in ledger_state().items() %}
            {{ column }} {{ type }}{{ ", " if not loop.last }}
        {% endfor %}
    )
{%- endmacro %}

{# An amount in units of its last decimal, and back. Integers multiply and divide in a quarter of the time of Decimals,
   and without their limits. #}
{% macro units(amount) -%} toInt256(reinterpret({{ amount }}, 'Int128')) {%- endmacro %}
{% macro from_units(amount, scale) -%}
    reinterpret(toInt128({{ amount }}), 'Decimal(38, {{ scale }})')
{%- endmacro %}

{# `amount * numerator / denominator` in units, to the nearest; the denominator is positive. #}
{% macro share_of_units(amount, numerator, denominator) -%}
    intDiv(
        {{ amount }} * {{ numerator }}
        + if({{ amount }} < 0, -1, 1) * intDiv({{ denominator }}, 2),
        {{ denominator }}
    )
{%- endmacro %}

{# What a step makes of the cost and the fees of what is open, and of the mean moment at which it was opened. #}
{% macro next_pools(pools) -%}
    (
        {{ share_of_units(pools ~ '.1', 'step .1', 'step .2') }} + step .3,
        {{ share_of_units(pools ~ '.2', 'step .1', 'step .2') }} + step .4,
        {{ pools }}.3 + (step .6 - {{ pools }}.3) * step .5
    )
{%- endmacro %}

{# Common table expressions from `events` to `ledger_rows`.

   `events` has one row per version of an event: account, strategy_id, symbol, executed_at, sequence, fill_id, revision,
   order_id, event (fill, opening or split), signed_quantity, ratio (new shares per old one, of a split), price,
   notional, fee, is_deleted. `origins` has one per key: its state before the first of its events that are there.

   An event adds to the position (also the first one, from nothing), reduces it, or flips it: closes it and opens the
   other side with the rest. Adding keeps the cost and adds the money that was paid; reducing keeps the share of the
   cost that stays open; a flip keeps nothing and adds its own share. A split changes the quantity alone. Profit is what
   was paid less the change of the cost: realized profit minus the cost of what is open is the money that went in and
   out, to the last digit. #}
{% macro ledger_steps(is_adjusted) %}
    {%- set key = "account, strategy_id, symbol" -%}
    {%- set one, nothing = "toInt256(1)", "toInt256(0)" -%}
    {%- set fee, at = "ifNull(event .11, toDecimal128(0, 12))", "toFloat64(event .1)" -%}
    sorted as (
        select
            {{ key }},
            arraySort(
                groupArray(
                    (
                        executed_at,
                        sequence,
                        fill_id,
                        revision,
                        order_id,
                        event,
                        signed_quantity,
                        ratio,
                        price,
                        notional,
                        fee,
                        is_deleted
                    )
                )
            ) as versions
        from events
        group by {{ key }}
    ),
    keyed as (
        select
            {{ key }},
            origins.origin as origin,
            -- The newest version of each event.
            arrayFilter(
                (version, next) -> (version .1, version .2, version .3)
                != (next .1, next .2, next .3),
                versions,
                arrayPushBack(
                    arrayPopFront(versions), defaultValueOfArgumentType(versions[1])
                )
            ) as list
        from sorted
        inner join origins using ({{ key }})
    ),
    positioned as (
        select
            *,
            -- What was removed changes nothing.
            arrayMap(
                event -> if(event .12, toDecimal128(0, 9), event .7), list
            ) as changes,
            {%- if is_adjusted %}
                -- A split needs the position that it multiplies; without one, a sum
                -- is enough.
                if(
                    has(list .6, 'split'),
                    arrayFold(
                        (positions, event, change) -> arrayPushBack(
                            positions,
                            if(
                                event .12,
                                positions[-1],
                                toDecimal128(
                                    round(toDecimal256(positions[-1], 9) * event .8, 9),
                                    9
                                )
                                + change
                            )
                        ),
                        list,
                        changes,
                        [origin.position_after]
                    ),
                    arrayCumSum(arrayPushFront(changes, origin.position_after))
                )
            {%- else %} arrayCumSum(arrayPushFront(changes, origin.position_after))
            {%- endif %} as positions
        from keyed
    ),
    stepped as (
        select
            *,
            -- What an event does to the pools: numerator and denominator of the share
            -- that stays, the cost and the fees that it adds, its weight in the mean
            -- moment, and its moment.
            arrayMap(
                (event, change, before, after) -> multiIf(
                    event .12 or event .6 = 'split',
                    ({{ one }}, {{ one }}, {{ nothing }}, {{ nothing }}, 0., {{ at }}),
                    sign(before) * sign(after) < 0,
                    (
                        {{ nothing }},
                        {{ one }},
                        {{ share_of_units(units("event .10"), units("abs(after)"), units("abs(change)")) }},
                        {{ share_of_units(units(fee), units("abs(after)"), units("abs(change)")) }},
                        1.,
                        {{ at }}
                    ),
                    before = 0 or sign(before) = sign(change),
                    (
                        {{ one }},
                        {{ one }},
                        {{ units("event .10") }},
                        {{ units(fee) }},
                        if(before = 0, 1., toFloat64(change) / toFloat64(after)),
                        {{ at }}
                    ),
                    (
                        {{ units("abs(after)") }},
                        {{ units("abs(before)") }},
                        {{ nothing }},
                        {{ nothing }},
                        0.,
                        {{ at }}
                    )
                ),
                list,
                changes,
                arrayPopBack(positions),
                arrayPopFront(positions)
            ) as steps
        from positioned
    ),
    cut as (
        select
            *,
            arrayMap(
                chunk -> arraySlice(
                    steps, chunk * {{ ledger_chunk() }} + 1, {{ ledger_chunk() }}
                ),
                range(toUInt64(ceil(length(steps) / {{ ledger_chunk() }})))
            ) as chunks,
            (
                {{ units("origin.open_cost") }},
                {{ units("origin.open_fee") }},
                origin.open_time
            ) as start
        from stepped
    ),
    folded as (
        select
            {{ key }},
            origin,
            start,
            list,
            positions,
            -- First the pools at the start of each chunk, then, all chunks side by
            -- side,
            -- those inside.
            arrayFlatten(
                arrayMap(
                    (first, steps) -> arrayPopFront(
                        arrayFold(
                            (states, step)
                            -> arrayPushBack(states, {{ next_pools("states[-1]") }}),
                            steps,
                            [first]
                        )
                    ),
                    arrayFold(
                        (starts, steps) -> arrayPushBack(
                            starts,
                            arrayFold(
                                (pools, step) -> {{ next_pools("pools") }},
                                steps,
                                starts[-1]
                            )
                        ),
                        arrayPopBack(chunks),
                        [start]
                    ),
                    chunks
                )
            ) as states
        from cut
    ),
    unrolled as (
        select
            {{ key }},
            row,
            row .12 as is_removed,
            origin.ordinal + number as ordinal,
            place = last_place as is_last,
            position_before,
            position_after,
            {{ from_units("before .1", 12) }} as cost_before,
            {{ from_units("after .1", 12) }} as open_cost,
            {{ from_units("before .2", 12) }} as fee_before,
            {{ from_units("after .2", 12) }} as open_fee,
            before .3 as time_before,
            after .3 as open_time,
            if(
                is_removed
                or row .6 = 'split'
                or sign(position_before) * sign(row .7) >= 0,
                toDecimal128(0, 9),
                least(abs(position_before), abs(row .7))
            ) as closed_quantity
        from (select *, length(list) as last_place from folded)
        array join
            list as row,
            arrayCumSum(event -> not event .12, list) as number,
            arrayEnumerate(list) as place,
            arrayPopBack(positions) as position_before,
            arrayPopFront(positions) as position_after,
            arrayPushFront(arrayPopBack(states), start) as before,
            states as after
    ),
    ledger_rows as (
        select
            {{ key }},
            row .1 as executed_at,
            row .2 as sequence,
            row .3 as fill_id,
            row .5 as order_id,
            row .6 as event,
            ordinal,
            position_after - position_before as signed_quantity,
            row .9 as price,
            row .10 as notional,
            row .11 as fee,
            position_before,
            position_after,
            closed_quantity,
            open_cost,
            open_fee,
            open_time,
            {{ from_units(
                "if(position_after = 0, 0, intDiv(" ~ units("open_cost") ~ " * 1000000000, "
                ~ units("abs(position_after)") ~ "))", 12
            ) }}
            as average_cost,
            if(
                closed_quantity = 0,
                toDecimal128(0, 12),
                sign(position_after) * open_cost
                - sign(position_before) * cost_before
                - sign(row .7) * row .10
            ) as gross_realized_pnl,
            if(
                closed_quantity = 0,
                toDecimal128(0, 12),
                fee_before + ifNull(row .11, 0) - open_fee
            ) as closing_fee,
            time_before as open_time_before,
            if(
                closed_quantity = 0, null, toFloat64(row .1) - time_before
            ) as holding_seconds,
            is_removed as is_deleted,
            is_last
        from unrolled
    )
{% endmacro %}

{# Rows of the ledger as they stood at a revision, with a condition that names its columns, under the name of ledger. #}
{% macro ledger_at(until, condition) -%}
    (
        select ledger.*
        from {{ ref("position_ledger") }} as ledger final
        where {{ condition }} and ledger.revision <= {{ until }}
        union all
        select ledger.*
        from {{ ref("position_ledger") }} as ledger
        where
            {{ condition }}
            and superseded_by > {{ until }}
            and ledger.revision <= {{ until }}
    ) as ledger
    where true
{%- endmacro %}

{# How far the ledger is and how far its next refresh goes: revisions of fills, of adjustments, its own one, and the one
   that the refresh gives its rows (one more where they are the last of their key). #}
{% macro ledger_progress_type() -%}
    Tuple(
        fills_from UInt64,
        fills_until UInt64,
        adjustments_from UInt64,
        adjustments_until UInt64,
        written UInt64,
        revision UInt64
    )
{%- endmacro %}

{# The fills and the adjustments that the next refresh takes in.

   notEmpty, since the sorting key would be searched for what != '' leaves out. Searching it, and an entry of the index on
   revision per 1,024 rows instead of 65,536, made 1,000 new fills take 0.35 s behind 20 million, 0.21 s behind 5. #}
{% macro new_fills(progress) -%}
    (
        select *
        from {{ ref("trade_execution_fact") }}
        where
            revision > {{ progress }}.fills_from
            and revision <= {{ progress }}.fills_until
            and notEmpty(account)
    )
{%- endmacro %}
{% macro new_adjustments(progress) -%}
    (
        select *
        from {{ ref("ledger_adjustment") }}
        where
            revision > {{ progress }}.adjustments_from
            and revision <= {{ progress }}.adjustments_until
            and notEmpty(account)
    )
{%- endmacro %}

{# Keys that changed before their last row, which are one constant (see late_changes), as rows; and the keys alone. #}
{% macro late_rows(changes) -%}
    (
        select
            entry.account as account,
            entry.strategy_id as strategy_id,
            entry.symbol as symbol,
            entry.first_change as first_change
        from (select arrayJoin({{ changes }}) as entry)
    )
{%- endmacro %}
{% macro late_keys(changes) -%}
    (
        select entry.account, entry.strategy_id, entry.symbol
        from (select arrayJoin({{ changes }}) as entry)
    )
{%- endmacro %}

{# Whether there are opening positions or splits. Without any, the ledger leaves them out of its query, whose planning
   takes longer than folding what is new. The seeds change with a build, which makes this query anew. #}
{% macro has_adjustments() -%}
    {%- if flags.WHICH not in ('run', 'build') -%} {{ return(true) }} {%- endif -%}
    {%- if execute -%}
        {%- set found = run_query(
            "select (select count() from " ~ ref('opening_positions') ~ ") + (select count() from "
            ~ ref('corporate_actions') ~ ")"
        ) -%}
        {{ return(found.rows[0][0] > 0) }}
    {%- endif -%}
{%- endmacro %}

{# Settings with which the ledger is extended.

   All rows in one block: they become one part, at once, and with it the cursors among them. Groups in blocks of some
   thousand keys: in the 256 blocks of a two-level aggregation the steps of the folds cost more than what they compute
   (8.0 instead of 3.0 microseconds a fill), and in one block of all keys everything is pushed out of the caches. A key
   has no two rows for one event in a block, which merging them on insert would look for. With views behind the table
   only parallel_view_processing leaves the fold its second thread (1.2 instead of 1.7 s for half a million fills). #}
{% macro ledger_settings() -%}
    {{ one_part() }},
    max_block_size = 8192,
    group_by_two_level_threshold = 0,
    group_by_two_level_threshold_bytes = 0,
    parallel_view_processing = 1
{%- endmacro %}
