with
    arrayMap(
        position -> (
            JSONExtractString(position, 'symbol'),
            {{ decimal_or_null(json_scalar('position', "'qty'")) }},
            {{ decimal_or_null(json_scalar('position', "'market_value'"), 12) }},
            {{ decimal_or_null(json_scalar('position', "'current_price'"), 12) }},
            {{ decimal_or_null(json_scalar('position', "'avg_entry_price'"), 12) }},
            JSONExtractString(position, 'side') = 'short',
            {{ json_scalar('position', "'qty'") }} in ('', 'null')
        ),
        JSONExtractArrayRaw(positions)
    ) as parsed,
    arrayFilter(position -> position .1 != '', parsed) as held
select
    id as snapshot_id,
    alpaca_account_label as account,
    as_of as snapshot_at,
    {{ decimal_or_null('equity', 12) }} as equity,
    {{ decimal_or_null('cash', 12) }} as cash,
    {{ decimal_or_null('buying_power', 12) }} as buying_power,
    arrayMap(position -> position .1, held) as position_symbols,
    -- A short position has a negative quantity and value, also where the broker wrote
    -- them unsigned.
    arrayMap(
        position -> if(position .6, - abs(position .2), position .2), held
    ) as position_quantities,
    arrayMap(
        position -> if(position .6, - abs(position .3), position .3),
        arrayMap(
            position -> (
                position .1,
                position .2,
                coalesce(position .3, toDecimal128(position .2 * position .4, 12)),
                position .4,
                position .5,
                position .6
            ),
            held
        )
    ) as position_values,
    arrayMap(position -> position .4, held) as position_prices,
    arrayMap(position -> position .5, held) as position_entry_prices,
    multiIf(
        JSONType(positions) != 'Array',
        'positions is no JSON array',
        length(held) < length(parsed),
        'a position has no symbol',
        -- A value alone will do, where no quantity is told.
        arrayExists(
            position -> position .2 is null
            and not (position .7 and position .3 is not null),
            held
        ),
        'the quantity of a position is no number',
        ''
    ) as position_defect,
    _version as source_version,
    _deleted as is_deleted,
    _applied as applied
from {{ source('torghut_raw', 'position_snapshots') }}
