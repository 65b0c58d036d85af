{{ config(refreshable=every_second(after=["trade_execution_fact_refresh"])) }}
{{ materialization_target_table(ref("changed_position")) }}
-- depends_on: {{ ref("trade_execution_fact_refresh") }}
with
    {{ next_batch(ref("changed_position")) }} as next_batch,
    -- The cursor of the fills is written behind them: up to its revision all of them
    -- are there.
    (
        select max(revision) + 1
        from {{ ref("trade_execution_fact") }}
        where account = ''
    ) as fills_until,
    (
        select argMax(fact_revision, batch)
        from {{ ref("changed_position") }}
        where is_end = 1
    ) as done
select
    next_batch as batch,
    toUInt8(0) as is_end,
    account,
    strategy_id,
    symbol,
    min((executed_at, sequence, fill_id)) as first_change,
    toUInt64(0) as fact_revision
from {{ ref("trade_execution_fact") }}
where revision > done and revision <= fills_until and account != ''
group by account, strategy_id, symbol
union all
select
    next_batch as batch,
    toUInt8(1) as is_end,
    '' as account,
    '' as strategy_id,
    '' as symbol,
    (toDateTime64(0, 6, 'UTC'), toUInt64(0), '') as first_change,
    fills_until as fact_revision
from system.one
where fills_until > done
order by is_end
