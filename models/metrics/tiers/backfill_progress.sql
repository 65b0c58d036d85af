{{
    config(
        engine="ReplacingMergeTree(done_until)",
        order_by="(run_key, started_at, calendar, session_date)",
        ttl="toDateTime(started_at) + interval 90 day",
        full_refresh=false,
    )
}}
-- A build keeps the series, and so what is done of it.
{{ empty_table() }}
