-- The feed window in which an event was consumed.
alter table execution_order_events add column source_window_id uuid;
create index ix_execution_order_events_source_window_id on execution_order_events (source_window_id);
