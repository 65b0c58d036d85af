-- Position of signal ingest within one timestamp.
alter table trade_cursor add column cursor_seq bigint;
