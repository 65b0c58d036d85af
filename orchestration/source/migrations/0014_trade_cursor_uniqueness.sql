-- A cursor per source and account: the older uniqueness of the source alone goes.
alter table trade_cursor drop constraint uq_trade_cursor_source;
