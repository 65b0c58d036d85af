-- strategies, decisions, broker orders, account snapshots. Ids are assigned by the application.
create table strategies (
    id uuid primary key,
    name varchar(255) not null,
    description text,
    enabled boolean not null default true,
    base_timeframe varchar(16) not null,
    universe_type varchar(64) not null,
    universe_symbols jsonb,
    max_position_pct_equity numeric(20, 8),
    max_notional_per_trade numeric(20, 8),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index ix_strategies_name on strategies (name);

create table trade_decisions (
    id uuid primary key,
    strategy_id uuid not null references strategies (id) on delete cascade,
    alpaca_account_label varchar(64) not null,
    symbol varchar(16) not null,
    timeframe varchar(16) not null,
    decision_json jsonb not null,
    rationale text,
    status varchar(32) not null default 'planned',
    created_at timestamptz not null default now()
);
create index ix_trade_decisions_strategy_id on trade_decisions (strategy_id);
create index ix_trade_decisions_status on trade_decisions (status);
create index ix_trade_decisions_created_at on trade_decisions (created_at);

-- One row per broker order, not per fill; filled_qty and avg_fill_price are cumulative.
create table executions (
    id uuid primary key,
    trade_decision_id uuid references trade_decisions (id) on delete set null,
    alpaca_order_id varchar(128) not null,
    client_order_id varchar(128),
    symbol varchar(16) not null,
    side varchar(8) not null,
    order_type varchar(32) not null,
    time_in_force varchar(16) not null,
    submitted_qty numeric(20, 8) not null,
    filled_qty numeric(20, 8) not null default 0,
    avg_fill_price numeric(20, 8),
    status varchar(32) not null,
    raw_order jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint uq_executions_alpaca_order_id unique (alpaca_order_id),
    constraint uq_executions_client_order_id unique (client_order_id)
);
create index ix_executions_trade_decision_id on executions (trade_decision_id);
create index ix_executions_status on executions (status);

create table position_snapshots (
    id uuid primary key,
    alpaca_account_label varchar(64) not null,
    as_of timestamptz not null,
    equity numeric(20, 8) not null,
    cash numeric(20, 8) not null,
    buying_power numeric(20, 8) not null,
    positions jsonb not null,
    created_at timestamptz not null default now()
);
create index ix_position_snapshots_as_of on position_snapshots (as_of);
create index ix_position_snapshots_account_label on position_snapshots (alpaca_account_label);
