-- OCC option symbols have up to 21 characters. The views depend on the column, so they are made anew.
drop view execution_tca_symbol_agg_v1;
drop view execution_tca_strategy_agg_v1;
alter table trade_decisions alter column symbol type varchar(64);
alter table executions alter column symbol type varchar(64);
alter table execution_order_events alter column symbol type varchar(64);
alter table execution_tca_metrics alter column symbol type varchar(64);

create view execution_tca_strategy_agg_v1 as
select
    strategy_id,
    coalesce(alpaca_account_label, 'unknown') as alpaca_account_label,
    count(*) as order_count,
    count(distinct symbol) as symbol_count,
    avg(slippage_bps) as avg_slippage_bps,
    avg(shortfall_notional) as avg_shortfall_notional,
    avg(churn_ratio) as avg_churn_ratio,
    percentile_cont(0.95) within group (order by slippage_bps) as p95_slippage_bps,
    max(computed_at) as last_computed_at
from execution_tca_metrics
group by 1, 2;

create view execution_tca_symbol_agg_v1 as
select
    strategy_id,
    coalesce(alpaca_account_label, 'unknown') as alpaca_account_label,
    symbol,
    count(*) as order_count,
    avg(slippage_bps) as avg_slippage_bps,
    avg(shortfall_notional) as avg_shortfall_notional,
    avg(churn_ratio) as avg_churn_ratio,
    percentile_cont(0.95) within group (order by slippage_bps) as p95_slippage_bps,
    max(computed_at) as last_computed_at
from execution_tca_metrics
group by 1, 2, 3;
