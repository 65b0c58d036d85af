{# The position ledger by average cost: the only place where its formula stands.

   `rows` names a relation with one row per fill and at most one opening row per key (account, strategy_id, symbol),
   `is_fill = 0`, which carries the state before the key's first fill:
     signed_quantity: position; open_cost_base, open_fee_base, open_time_base: cost, entry fees and quantity-weighted opening time
     (seconds) of that position; ordinal_base and cumulative_*_base: totals so far.

   Inside an episode (from flat or a flip until the next) the cost of the position follows C' = C + notional when the
   position grows and C' = C * |q'| / |q| when it shrinks. With G the product of the shrink ratios this is
   C = G * sum(added / G), a running sum: linear in the number of fills, however long the episode.

   1/G grows without bound in a book that is never flat, so the sum runs inside bands of 100 e-folds of G and takes the
   preceding band's total as its start. That is exact to Float64: quantities have nine decimals and stay under 1e20, so
   a position cannot shrink by 67 e-folds without additions, and what is older than a whole band weighs less than
   1e-23 of a quantity unit. #}
{% macro ledger_rows(rows) %}
    {%- set band = 100 -%}
    {%- set key = "account, strategy_id, symbol" -%}
    {%- set arrival = "is_fill, executed_at, sequence, fill_id rows between unbounded preceding and current row" -%}
    {%- set pools = ["cost", "fee", "time"] -%}
    select
        * except (gross_float, closing_fee_float),
        {{ money("gross_float") }} as gross_realized_pnl,
        {{ money("closing_fee_float") }} as closing_fee,
        toUInt64(ordinal_offset + row_number() over running) as ordinal,
        sum(
            {{ money("gross_float") }}
            + if(is_fill = 0, cumulative_realized_pnl_base, 0)
        ) over running as cumulative_realized_pnl,
        sum(ifNull(fee, 0) + if(is_fill = 0, cumulative_fee_base, 0)) over running
        as cumulative_fee,
        sum(notional + if(is_fill = 0, cumulative_notional_base, 0)) over running
        as cumulative_notional,
        sum(
            if(is_fill = 1 and fee is null, notional, 0)
            + if(is_fill = 0, cumulative_feeless_notional_base, 0)
        ) over running as cumulative_feeless_notional
    from
        (
            select
                *,
                -- The opening row takes the number of the fill that it stands for.
                max(if(is_fill = 0, ordinal_base - 1, 0)) over whole as ordinal_offset,
                sign(position_before) * (
                    toFloat64(notional) * share_of_fill
                    - cost_before * share_of_position
                ) as gross_float,
                fee_before * share_of_position
                + toFloat64(ifNull(fee, 0)) * share_of_fill as closing_fee_float,
                if(
                    closed_quantity > 0,
                    toFloat64(executed_at)
                    - time_before / toFloat64(abs(position_before)),
                    null
                ) as holding_seconds
            from
                (
                    select
                        *,
                        -- What the fill closes, as a share of the position before it
                        -- and of the fill itself.
                        if(
                            closed_quantity = 0,
                            0.,
                            toFloat64(closed_quantity) / toFloat64(abs(position_before))
                        ) as share_of_position,
                        if(
                            closed_quantity = 0,
                            0.,
                            toFloat64(closed_quantity) / toFloat64(abs(signed_quantity))
                        ) as share_of_fill
                    from
                        (
                            select
                                *,
                                {%- for pool in pools %}
                                    lagInFrame({{ pool }}_after) over running
                                    as {{ pool }}_before,
                                {%- endfor %}
                                if(
                                    is_fill = 1
                                    and sign(position_before) * sign(signed_quantity)
                                    < 0,
                                    least(abs(position_before), abs(signed_quantity)),
                                    toDecimal128(0, 9)
                                ) as closed_quantity
                            from
                                (
                                    select
                                        *,
                                        {%- for pool in pools %}
                                            if(
                                                position_after = 0,
                                                0.,
                                                exp(log_ratio + band * {{ band }}) * (
                                                    {{ pool }}_sum
                                                    + exp(-{{ band }})
                                                    * first_value(
                                                        {{ pool }}_preceding
                                                    ) over banded
                                                )
                                            )
                                            as {{ pool }}_after{{ "," if not loop.last }}
                                        {%- endfor %}
                                    from
                                        (
                                            select
                                                *,
                                                {%- for pool in pools %}
                                                    lagInFrame(
                                                        {{ pool }}_sum
                                                    ) over episodic
                                                    as {{ pool }}_preceding{{ "," if not loop.last }}
                                                {%- endfor %}
                                            from
                                                (
                                                    select
                                                        *,
                                                        {%- for pool in pools %}
                                                            sum(
                                                                added_{{ pool }} * exp(
                                                                    - (
                                                                        log_ratio
                                                                        + band
                                                                        * {{ band }}
                                                                    )
                                                                )
                                                            ) over banded
                                                            as {{ pool }}_sum{{ "," if not loop.last }}
                                                        {%- endfor %}
                                                    from
                                                        (
                                                            select
                                                                *,
                                                                toInt64(
                                                                    floor(
                                                                        - log_ratio
                                                                        / {{ band }}
                                                                    )
                                                                ) as band
                                                            from
                                                                (
                                                                    select
                                                                        *,
                                                                        sum(
                                                                            log_change
                                                                        ) over episodic
                                                                        as log_ratio
                                                                    from
                                                                        (
                                                                            select
                                                                                *,
                                                                                sum(
                                                                                    is_opening
                                                                                )
                                                                                over running
                                                                                as episode
                                                                            from
                                                                                (
                                                                                    {{ ledger_movements(rows, key, arrival) }}
                                                                                )
                                                                            window
                                                                                running
                                                                                as (
                                                                                    partition by
                                                                                        {{ key }}
                                                                                    order by
                                                                                        {{ arrival }}
                                                                                )
                                                                        )
                                                                    window
                                                                        episodic as (
                                                                            partition by
                                                                                {{ key }},
                                                                                episode
                                                                            order by
                                                                                {{ arrival }}
                                                                        )
                                                                )
                                                        )
                                                    window
                                                        banded as (
                                                            partition by
                                                                {{ key }}, episode, band
                                                            order by {{ arrival }}
                                                        )
                                                )
                                            window
                                                episodic as (
                                                    partition by {{ key }}, episode
                                                    order by {{ arrival }}
                                                )
                                        )
                                    window
                                        banded as (
                                            partition by {{ key }}, episode, band
                                            order by {{ arrival }}
                                        )
                                )
                            window
                                running as (
                                    partition by {{ key }} order by {{ arrival }}
                                )
                        )
                )
            window whole as (partition by {{ key }})
        )
    window running as (partition by {{ key }} order by {{ arrival }})
{% endmacro %}

{# Per row: the position around it, whether it opens an episode, what it adds and by how much it shrinks the rest. #}
{% macro ledger_movements(rows, key, arrival) %}
    select
        *,
        position_after - signed_quantity as position_before,
        position_before = 0
        or sign(position_before) * sign(position_after) < 0 as is_opening,
        multiIf(
            is_opening,
            abs(position_after),
            sign(position_before) = sign(signed_quantity),
            abs(signed_quantity),
            toDecimal128(0, 9)
        ) as added_quantity,
        if(
            signed_quantity = 0,
            0.,
            toFloat64(added_quantity) / toFloat64(abs(signed_quantity))
        ) as added_share,
        if(
            is_fill = 1, toFloat64(notional) * added_share, toFloat64(open_cost_base)
        ) as added_cost,
        if(
            is_fill = 1,
            toFloat64(ifNull(fee, 0)) * added_share,
            toFloat64(open_fee_base)
        ) as added_fee,
        if(
            is_fill = 1,
            toFloat64(executed_at) * toFloat64(added_quantity),
            open_time_base
        ) as added_time,
        if(
            is_opening or added_quantity > 0 or position_after = 0,
            0.,
            log(toFloat64(abs(position_after)) / toFloat64(abs(position_before)))
        ) as log_change
    from
        (
            select *, sum(signed_quantity) over running as position_after
            from {{ rows }}
            window running as (partition by {{ key }} order by {{ arrival }})
        )
{% endmacro %}
