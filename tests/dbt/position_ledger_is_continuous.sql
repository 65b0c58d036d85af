{{ config(meta={"repair": "rebuild_ledger"}) }}
-- Every fill starts from the position that the one before it left, and the fills of a
-- key are numbered without a gap.
select *
from
    (
        select
            account,
            strategy_id,
            symbol,
            ordinal,
            position_before,
            lagInFrame(position_after) over arrival as position_left,
            row_number() over arrival as number
        from {{ ref("position_ledger") }} final
        window
            arrival as (
                partition by account, strategy_id, symbol
                order by executed_at, sequence, fill_id
                rows between unbounded preceding and current row
            )
    )
where position_before != position_left or number != ordinal
