-- Several accounts: orders, events and cursors carry the account, and identity is unique within it.
alter table executions add column alpaca_account_label varchar(64);
update executions
set alpaca_account_label = coalesce(
    (
        select trade_decisions.alpaca_account_label
        from trade_decisions
        where trade_decisions.id = executions.trade_decision_id
    ),
    'paper'
);
alter table executions
    alter column alpaca_account_label set default 'paper',
    alter column alpaca_account_label set not null,
    drop constraint uq_executions_alpaca_order_id,
    drop constraint uq_executions_client_order_id,
    add constraint uq_executions_account_order_id unique (alpaca_account_label, alpaca_order_id),
    add constraint uq_executions_account_client_order_id unique (alpaca_account_label, client_order_id);

alter table trade_decisions
    drop constraint uq_trade_decisions_decision_hash,
    add constraint uq_trade_decisions_account_decision_hash unique (alpaca_account_label, decision_hash);

alter table execution_order_events add column alpaca_account_label varchar(64);
update execution_order_events
set alpaca_account_label = coalesce(
    (
        select executions.alpaca_account_label
        from executions
        where executions.id = execution_order_events.execution_id
    ),
    'paper'
);
alter table execution_order_events
    alter column alpaca_account_label set default 'paper',
    alter column alpaca_account_label set not null;
create index ix_execution_order_events_account_label on execution_order_events (alpaca_account_label);

alter table trade_cursor
    add column account_label varchar(64) not null default 'paper',
    add constraint uq_trade_cursor_source_account unique (source, account_label);
