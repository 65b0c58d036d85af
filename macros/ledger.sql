{# The position ledger by average cost: the only place where its formula stands. #}
{# Number of fills after which the fold of a key starts anew from stored state, its checkpoint. A change refolds at most
   so many fills before it, and a key with many fills is folded in chunks side by side: a fold costs about 100
   microseconds a step, however many rows take that step together. #}
{% macro ledger_chunk() -%} 64 {%- endmacro %}

{# State of a key behind its last whole chunk: number and position in time of the last fill of that chunk, then quantity,
   cost, entry fees, and quantity-weighted opening time (epoch seconds) of the position it left. All zero before the
   first. #}
{% macro checkpoint_type() -%}
    Tuple(
        ordinal UInt64,
        executed_at DateTime64(6, 'UTC'),
        sequence UInt64,
        fill_id String,
        quantity Decimal(38, 9),
        open_cost Decimal(38, 12),
        open_fee Decimal(38, 12),
        open_time Float64
    )
{%- endmacro %}

{# A share of an amount, to the nearest of its twelve decimals; all of it is exactly the amount. #}
{% macro share_of(amount, share) -%}
    toDecimal128(round({{ amount }} * {{ share }}, 12), 12)
{%- endmacro %}

{# Common table expressions from `fills` to `ledger_rows`.

   `fills` has one row per fill: account, strategy_id, symbol, the checkpoint of its key before the first of its fills
   that are there, anything else about the key that the caller wants back with its rows (`origin`), executed_at, sequence, fill_id, order_id, signed_quantity, price, notional, fee.

   Cost, entry fees and opening time of a position follow S' = kept * S + added: kept is 1 when a fill adds, |q'| / |q|
   when it reduces, 0 when it opens or flips. That is affine in S, so every chunk is folded from an unknown start into
   pairs (kept, added) of its own, all chunks side by side, and the few chunks of a key are then chained. A fill has the
   same pairs and the same start whether it is folded alone, with its chunk or with all of history: a rebuild gives
   the same digits. Money is Decimal throughout, and profit is what was paid less the change of the cost: realized profit
   minus the cost of what is open is the money that went in and out, to the last digit. #}
{% macro ledger_steps() %}
    {%- set key = "account, strategy_id, symbol" -%}
    numbered as (
        select
            {{ key }},
            origin,
            checkpoint,
            toUInt64(
                intDiv(
                    checkpoint.ordinal + row_number() over arrival - 1,
                    {{ ledger_chunk() }}
                )
            ) as chunk,
            (
                executed_at,
                sequence,
                fill_id,
                order_id,
                signed_quantity,
                price,
                notional,
                fee
            ) as fill
        from fills
        window
            arrival as (partition by {{ key }} order by executed_at, sequence, fill_id)
    ),
    chunks as (
        select
            {{ key }},
            chunk,
            any(origin) as origin,
            any(checkpoint) as checkpoint,
            arraySort(groupArray(fill)) as fills
        from numbered
        group by {{ key }}, chunk
    ),
    positioned as (
        select
            *,
            arrayCumSum(
                arrayPushFront(
                    arrayMap(fill -> fill .5, fills),
                    checkpoint.quantity
                    + sum(arraySum(fill -> fill .5, fills)) over earlier
                )
            ) as quantities
        from chunks
        window
            earlier as (
                partition by {{ key }}
                order by chunk
                rows between unbounded preceding and 1 preceding
            )
    ),
    -- (kept share of the position, added share of the fill)
    shared as (
        select
            *,
            arrayMap(
                (fill, before, after) -> multiIf(
                    before = 0,
                    (toDecimal256(0, 24), toDecimal256(1, 24)),
                    sign(before) * sign(after) < 0,
                    (toDecimal256(0, 24), toDecimal256(abs(after), 24) / abs(fill .5)),
                    sign(before) = sign(fill .5),
                    (toDecimal256(1, 24), toDecimal256(1, 24)),
                    (toDecimal256(abs(after), 24) / abs(before), toDecimal256(0, 24))
                ),
                fills,
                arrayPopBack(quantities),
                arrayPopFront(quantities)
            ) as shares
        from positioned
    ),
    folded as (
        select
            *,
            arrayFold(
                (path, fill, share) -> arrayPushBack(
                    path,
                    (
                        toDecimal256(path[-1] .1 * share .1, 24),
                        {{ share_of("path[-1].2", "share.1") }}
                        + {{ share_of("fill.7", "share.2") }},
                        {{ share_of("path[-1].3", "share.1") }}
                        + {{ share_of("ifNull(fill.8, 0)", "share.2") }},
                        path[-1] .4 * share .1
                        + toFloat64(fill .1) * toFloat64(abs(fill .5)) * share .2
                    )
                ),
                fills,
                shares,
                [(toDecimal256(1, 24), toDecimal128(0, 12), toDecimal128(0, 12), 0.)]
            ) as path
        from shared
    ),
    chained as (
        select
            {{ key }},
            any(origin) as origin,
            arraySort(
                part -> part .1, groupArray((chunk, fills, quantities, path))
            ) as parts,
            arrayFold(
                (checkpoints, part) -> arrayPushBack(
                    checkpoints,
                    cast(
                        (
                            checkpoints[-1].ordinal + length(part .2),
                            part .2 [-1] .1,
                            part .2 [-1] .2,
                            part .2 [-1] .3,
                            part .3 [-1],
                            {{ share_of("checkpoints[-1].open_cost", "part.4[-1].1") }}
                            + part .4 [-1] .2,
                            {{ share_of("checkpoints[-1].open_fee", "part.4[-1].1") }}
                            + part .4 [-1] .3,
                            checkpoints[-1].open_time * part .4 [-1] .1
                            + part .4 [-1] .4
                        ),
                        $${{ checkpoint_type() }}$$
                    )
                ),
                parts,
                [any(checkpoint)]
            ) as checkpoints
        from folded
        group by {{ key }}
    ),
    started as (
        select {{ key }}, origin, item .1 as part, item .2 as checkpoint
        from chained
        array join arrayZip(parts, arrayPopBack(checkpoints)) as item
    ),
    -- Cost, entry fees and opening time of the position before each fill and behind
    -- the last.
    stated as (
        select
            *,
            arrayMap(
                step -> (
                    {{ share_of("checkpoint.open_cost", "step.1") }} + step .2,
                    {{ share_of("checkpoint.open_fee", "step.1") }} + step .3,
                    checkpoint.open_time * step .1 + step .4
                ),
                part .4
            ) as states
        from started
    ),
    unrolled as (
        select
            {{ key }},
            origin,
            checkpoint,
            checkpoint.ordinal + row .1 as ordinal,
            row .2 as fill,
            row .3 as position_before,
            row .4 as position_after,
            row .5 as state_before,
            row .6 as state_after,
            if(
                position_before * fill .5 < 0,
                least(abs(position_before), abs(fill .5)),
                toDecimal128(0, 9)
            ) as closed_quantity
        from stated
        array join
            arrayZip(
                arrayEnumerate(part .2),
                part .2,
                arrayPopBack(part .3),
                arrayPopFront(part .3),
                arrayPopBack(states),
                arrayPopFront(states)
            ) as row
    ),
    ledger_rows as (
        select
            {{ key }},
            origin,
            fill .1 as executed_at,
            fill .2 as sequence,
            fill .3 as fill_id,
            fill .4 as order_id,
            ordinal,
            fill .5 as signed_quantity,
            fill .6 as price,
            fill .7 as notional,
            fill .8 as fee,
            position_before,
            position_after,
            state_after .1 as open_cost,
            state_after .2 as open_fee,
            state_after .3 as open_time,
            closed_quantity,
            if(
                closed_quantity = 0,
                toDecimal128(0, 12),
                sign(position_after) * state_after .1
                - sign(position_before) * state_before .1
                - sign(signed_quantity) * notional
            ) as gross_realized_pnl,
            if(
                closed_quantity = 0,
                toDecimal128(0, 12),
                state_before .2 + ifNull(fee, 0) - state_after .2
            ) as closing_fee,
            if(
                closed_quantity = 0,
                null,
                toFloat64(executed_at)
                - state_before .3 / toFloat64(abs(position_before))
            ) as holding_seconds,
            if(
                ordinal % {{ ledger_chunk() }} = 0,
                cast(
                    (
                        ordinal,
                        executed_at,
                        sequence,
                        fill_id,
                        position_after,
                        open_cost,
                        open_fee,
                        open_time
                    ),
                    $${{ checkpoint_type() }}$$
                ),
                checkpoint
            ) as next_checkpoint
        from unrolled
    )
{% endmacro %}
