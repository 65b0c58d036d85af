-- The account's position in the symbol after the event.
alter table execution_order_events add column position_qty numeric(21, 9);
