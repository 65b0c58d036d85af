-- What one event added to the order, and how that was found out.
alter table execution_order_events
    add column filled_qty_delta numeric(20, 8),
    add column filled_notional_delta numeric(20, 8),
    add column fill_quantity_basis varchar(32);
