-- Transaction cost analysis, one row per order, and its lifetime aggregates.
create table execution_tca_metrics (
    id uuid primary key,
    execution_id uuid not null references executions (id) on delete cascade,
    trade_decision_id uuid references trade_decisions (id) on delete set null,
    strategy_id uuid references strategies (id) on delete set null,
    alpaca_account_label varchar(64),
    symbol varchar(16) not null,
    side varchar(8) not null,
    arrival_price numeric(20, 8),
    avg_fill_price numeric(20, 8),
    filled_qty numeric(20, 8) not null default 0,
    signed_qty numeric(20, 8) not null default 0,
    slippage_bps numeric(20, 8),
    shortfall_notional numeric(20, 8),
    churn_qty numeric(20, 8) not null default 0,
    churn_ratio numeric(20, 8),
    computed_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint uq_execution_tca_metrics_execution_id unique (execution_id)
);
create index ix_execution_tca_metrics_strategy_id on execution_tca_metrics (strategy_id);
create index ix_execution_tca_metrics_symbol on execution_tca_metrics (symbol);
create index ix_execution_tca_metrics_computed_at on execution_tca_metrics (computed_at);

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
