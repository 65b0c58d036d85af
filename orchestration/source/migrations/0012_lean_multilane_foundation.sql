-- LEAN: backtests, shadow execution, canary incidents, shadow evaluations; audit columns of orders.
create table lean_backtest_runs (
    id uuid primary key,
    backtest_id varchar(64) not null,
    status varchar(32) not null default 'queued',
    requested_by varchar(128),
    lane varchar(32) not null default 'research',
    config_json jsonb not null,
    result_json jsonb,
    artifacts_json jsonb,
    reproducibility_hash varchar(128),
    replay_hash varchar(128),
    deterministic_replay_passed boolean,
    failure_taxonomy varchar(128),
    completed_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint uq_lean_backtest_runs_backtest_id unique (backtest_id)
);
create index ix_lean_backtest_runs_status on lean_backtest_runs (status);

create table lean_execution_shadow_events (
    id uuid primary key,
    correlation_id varchar(64),
    trade_decision_id uuid references trade_decisions (id) on delete set null,
    execution_id uuid references executions (id) on delete set null,
    symbol varchar(32) not null,
    side varchar(8) not null,
    qty numeric(20, 8) not null,
    intent_notional numeric(20, 8),
    simulated_fill_price numeric(20, 8),
    simulated_slippage_bps numeric(20, 8),
    parity_delta_bps numeric(20, 8),
    parity_status varchar(32) not null default 'unknown',
    failure_taxonomy varchar(128),
    simulation_json jsonb,
    created_at timestamptz not null default now()
);
create index ix_lean_execution_shadow_events_created_at on lean_execution_shadow_events (created_at);
create index ix_lean_execution_shadow_events_execution_id on lean_execution_shadow_events (execution_id);

create table lean_canary_incidents (
    id uuid primary key,
    incident_key varchar(96) not null,
    breach_type varchar(64) not null,
    severity varchar(16) not null default 'warning',
    rollback_triggered boolean not null default false,
    symbols jsonb,
    evidence_json jsonb,
    resolved_at timestamptz,
    created_at timestamptz not null default now(),
    constraint uq_lean_canary_incidents_incident_key unique (incident_key)
);

create table lean_strategy_shadow_evaluations (
    id uuid primary key,
    run_id varchar(64) not null,
    strategy_id varchar(128) not null,
    symbol varchar(32) not null,
    intent_json jsonb not null,
    shadow_json jsonb,
    parity_status varchar(32) not null default 'unknown',
    governance_json jsonb,
    disable_switch_active boolean not null default false,
    created_at timestamptz not null default now(),
    constraint uq_lean_strategy_shadow_evaluations_run_id unique (run_id)
);
create index ix_lean_strategy_shadow_evaluations_strategy_id on lean_strategy_shadow_evaluations (strategy_id);

alter table executions
    add column execution_correlation_id varchar(64),
    add column execution_idempotency_key varchar(96),
    add column execution_audit_json jsonb;
create index ix_executions_execution_correlation_id on executions (execution_correlation_id);
create index ix_executions_execution_idempotency_key on executions (execution_idempotency_key);
