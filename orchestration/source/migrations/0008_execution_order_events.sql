-- The log of the broker's order feed: partial fills live here and nowhere else.
create table execution_order_events (
    id uuid primary key,
    event_fingerprint varchar(64) not null,
    source_topic varchar(128) not null,
    source_partition integer,
    source_offset bigint,
    feed_seq bigint,
    event_ts timestamptz,
    symbol varchar(16),
    alpaca_order_id varchar(128),
    client_order_id varchar(128),
    event_type varchar(64),
    status varchar(32),
    qty numeric(20, 8),
    filled_qty numeric(20, 8),
    avg_fill_price numeric(20, 8),
    raw_event jsonb not null,
    execution_id uuid references executions (id) on delete set null,
    trade_decision_id uuid references trade_decisions (id) on delete set null,
    created_at timestamptz not null default now(),
    constraint uq_execution_order_events_fingerprint unique (event_fingerprint),
    constraint uq_execution_order_events_offset unique (source_topic, source_partition, source_offset)
);
create index ix_execution_order_events_event_ts on execution_order_events (event_ts);
create index ix_execution_order_events_execution_id on execution_order_events (execution_id);
create index ix_execution_order_events_trade_decision_id on execution_order_events (trade_decision_id);
create index ix_execution_order_events_alpaca_order_id on execution_order_events (alpaca_order_id);
create index ix_execution_order_events_client_order_id on execution_order_events (client_order_id);

alter table executions
    add column order_feed_last_event_ts timestamptz,
    add column order_feed_last_seq bigint;
