-- The whole identity of an order as one key, for tables that refer to all of it.
alter table executions
    add constraint uq_executions_identity
    unique (id, trade_decision_id, alpaca_account_label, client_order_id, alpaca_order_id);
