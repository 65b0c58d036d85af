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
{% macro units(amount) -%} reinterpret({{ amount }}, 'Int128') {%- endmacro %}
{% macro from_units(amount, scale) -%}
    reinterpret(toInt128({{ amount }}), 'Decimal(38, {{ scale }})')
{%- endmacro %}

{# `amount * numerator / denominator` in units, to the nearest; the denominator is positive. #}
{% macro share_of_units(amount, numerator, denominator) -%}
    intDiv(
        toInt256({{ amount }}) * {{ numerator }} + if(
            {{ amount }} < 0,
            - intDiv({{ denominator }}, 2),
            intDiv({{ denominator }}, 2)
        ),
        {{ denominator }}
    )
{%- endmacro %}

{# What an event makes of the cost and the fees of what is open, and of the mean moment at which it was opened. #}
{% macro next_state(state) -%}
    (
        {{ share_of_units(state ~ '.1', 'kept', 'whole') }} + added_cost,
        {{ share_of_units(state ~ '.2', 'kept', 'whole') }} + added_fee,
        {{ state }}.3 + (at - {{ state }}.3) * weight
    )
{%- endmacro %}

{# States after each event, from arrays of arguments that were cut into chunks: first the state at the start of each
   chunk, then, all chunks side by side, those inside. `next` names the macro of one step. #}
{% macro fold_chunks(next, arguments, initial) -%}
    {%- set names = arguments | join(', ') -%}
    {%- set whole, cut, part = [], [], [] -%}
    {%- for name in arguments -%}
        {%- do whole.append('arrayPopBack(' ~ name ~ 's_chunks)') -%}
        {%- do cut.append(name ~ 's_chunks') -%}
        {%- do part.append(name ~ 's') -%}
    {%- endfor -%}
    arrayFlatten(
        arrayMap(
            (start, {{ part | join(', ') }}) -> arrayPopFront(
                arrayFold(
                    (states, {{ names }})
                    -> arrayPushBack(states, {{ next('states[-1]') }}),
                    {{ part | join(', ') }},
                    [start]
                )
            ),
            arrayFold(
                (starts, {{ part | join(', ') }}) -> arrayPushBack(
                    starts,
                    arrayFold(
                        (state, {{ names }}) -> {{ next('state') }},
                        {{ part | join(', ') }},
                        starts[-1]
                    )
                ),
                {{ whole | join(', ') }},
                [{{ initial }}]
            ),
            {{ cut | join(', ') }}
        )
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
{% macro ledger_steps() %}
    {%- set key = "account, strategy_id, symbol" -%}
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
    valued as (
        select
            *,
            list .6 as kinds,
            list .12 as removed,
            -- What was removed changes nothing.
            arrayMap(
                (change, is_removed) -> if(is_removed, toDecimal128(0, 9), change),
                list .7,
                list .12
            ) as changes,
            arrayMap(
                (notional, is_removed) -> if(is_removed, toDecimal128(0, 12), notional),
                list .10,
                list .12
            ) as notionals,
            arrayMap(
                (fee, is_removed) -> if(
                    is_removed, toDecimal128(0, 12), ifNull(fee, toDecimal128(0, 12))
                ),
                list .11,
                list .12
            ) as fees
        from keyed
    ),
    positioned as (
        select
            *,
            -- A split needs the position that it multiplies; without one, a sum is
            -- enough.
            if(
                has(kinds, 'split'),
                arrayFold(
                    (positions, change, ratio, is_removed) -> arrayPushBack(
                        positions,
                        if(
                            is_removed,
                            positions[-1],
                            toDecimal128(
                                round(toDecimal256(positions[-1], 9) * ratio, 9), 9
                            )
                            + change
                        )
                    ),
                    changes,
                    list .8,
                    removed,
                    [origin.position_after]
                ),
                arrayCumSum(arrayPushFront(changes, origin.position_after))
            ) as positions
        from valued
    ),
    classed as (
        select
            *,
            arrayPopBack(positions) as before,
            arrayPopFront(positions) as after,
            arrayMap(
                (kind, is_removed, before, after, change) -> multiIf(
                    is_removed or kind = 'split',
                    'keep',
                    before != 0 and sign(before) * sign(after) < 0,
                    'flip',
                    before = 0 or sign(before) = sign(change),
                    'add',
                    'reduce'
                ),
                kinds,
                removed,
                arrayPopBack(positions),
                arrayPopFront(positions),
                changes
            ) as classes,
            range(toUInt64(ceil(length(list) / {{ ledger_chunk() }}))) as chunks
        from positioned
    ),
    weighed as (
        select
            *,
            -- Kept is the numerator, whole the denominator of the share of the pools
            -- that stays.
            arrayMap(
                (class, after) -> multiIf(
                    class = 'reduce',
                    {{ units("abs(after)") }},
                    toInt128(class != 'flip')
                ),
                classes,
                after
            ) as kepts,
            arrayMap(
                (class, before)
                -> if(class = 'reduce', {{ units("abs(before)") }}, toInt128(1)),
                classes,
                before
            ) as wholes,
            {%- for pool, amounts in [("cost", "notionals"), ("fee", "fees")] %}
                arrayMap(
                    (class, after, change, amount) -> multiIf(
                        class = 'flip',
                        {{ share_of_units(units("amount"), units("abs(after)"), units("abs(change)")) }},
                        class = 'add',
                        toInt256({{ units("amount") }}),
                        toInt256(0)
                    ),
                    classes,
                    after,
                    changes,
                    {{ amounts }}
                ) as added_{{ pool }}s,
            {%- endfor %}
            arrayMap(event -> toFloat64(event .1), list) as ats,
            arrayMap(
                (class, before, after, change) -> multiIf(
                    class = 'flip' or (class = 'add' and before = 0),
                    1.,
                    class = 'add',
                    toFloat64(change) / toFloat64(after),
                    0.
                ),
                classes,
                before,
                after,
                changes
            ) as weights
        from classed
    ),
    cut as (
        select
            *,
            {%- for column in ["kepts", "wholes", "added_costs", "added_fees", "ats", "weights"] %}
                arrayMap(
                    chunk -> arraySlice(
                        {{ column }},
                        chunk * {{ ledger_chunk() }} + 1,
                        {{ ledger_chunk() }}
                    ),
                    chunks
                ) as {{ column }}_chunks{{ "," if not loop.last }}
            {%- endfor %}
        from weighed
    ),
    folded as (
        select
            {{ key }},
            origin,
            list,
            positions,
            {{
                fold_chunks(
                    next_state,
                    ["kept", "whole", "added_cost", "added_fee", "at", "weight"],
                    "(toInt256(" ~ units("origin.open_cost") ~ "), toInt256(" ~ units("origin.open_fee")
                    ~ "), origin.open_time)",
                )
            }}
            as pools,
            arrayMap(pool -> {{ from_units("pool", 12) }}, pools .1) as open_costs,
            arrayMap(pool -> {{ from_units("pool", 12) }}, pools .2) as open_fees,
            pools .3 as open_times,
            removed,
            arrayCumSum(arrayMap(is_removed -> 1 - is_removed, removed)) as numbers
        from cut
    ),
    unrolled as (
        select
            {{ key }},
            origin,
            row,
            is_removed,
            origin.ordinal + number as ordinal,
            is_last,
            position_before,
            position_after,
            cost_before,
            open_cost,
            fee_before,
            open_fee,
            time_before,
            open_time,
            if(
                is_removed or row .6 = 'split' or position_before * row .7 >= 0,
                toDecimal128(0, 9),
                least(abs(position_before), abs(row .7))
            ) as closed_quantity
        from folded
        array join
            list as row,
            removed as is_removed,
            numbers as number,
            arrayMap(place -> place = length(list), arrayEnumerate(list)) as is_last,
            arrayPopBack(positions) as position_before,
            arrayPopFront(positions) as position_after,
            arrayPushFront(arrayPopBack(open_costs), origin.open_cost) as cost_before,
            open_costs as open_cost,
            arrayPushFront(arrayPopBack(open_fees), origin.open_fee) as fee_before,
            open_fees as open_fee,
            arrayPushFront(arrayPopBack(open_times), origin.open_time) as time_before,
            open_times as open_time
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
                "if(position_after = 0, 0, intDiv(toInt256(" ~ units("open_cost") ~ ") * 1000000000, "
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

{# Changes of keys, which are one constant (see pending_position_ledger), as rows; and their keys alone. #}
{% macro changed_rows(changes) -%}
    (
        select
            entry.account as account,
            entry.strategy_id as strategy_id,
            entry.symbol as symbol,
            entry.first_change as first_change,
            entry.origin as origin
        from (select arrayJoin({{ changes }}) as entry)
    )
{%- endmacro %}
{% macro changed_keys(changes) -%}
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
