-- Position of signal ingest within one timestamp and sequence.
alter table trade_cursor add column cursor_symbol varchar(32);
