-- Crypto quantities have nine decimals.
alter table execution_order_events
    alter column qty type numeric(21, 9),
    alter column filled_qty type numeric(21, 9),
    alter column filled_qty_delta type numeric(21, 9);
