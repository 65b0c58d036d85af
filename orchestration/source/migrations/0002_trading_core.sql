-- The decision's identity at the broker, its submit time, the order's last update, the cursor of signal ingest.
alter table trade_decisions
    add column decision_hash varchar(64),
    add column executed_at timestamptz,
    add constraint uq_trade_decisions_decision_hash unique (decision_hash);

alter table executions add column last_update_at timestamptz;

create table trade_cursor (
    id uuid primary key,
    source varchar(64) not null,
    cursor_at timestamptz not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint uq_trade_cursor_source unique (source)
);
