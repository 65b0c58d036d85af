{{
    config(
        engine="ReplacingMergeTree",
        order_by=(
            "(strategy_id, account, window, metric_name, toStartOfHour(as_of), toStartOfMinute(as_of), as_of)"
        ),
        partition_by="(toDate(as_of), tier)",
        ttl=series_ttl(),
        settings=series_settings(),
        full_refresh=false,
        mv_on_schema_change="append_new_columns",
        post_hook="{{ keep_storage(series_settings()) }}",
    )
}}
-- The only table that cannot be computed again at once: a full refresh keeps its rows.
-- Values repeat from window to window and from scope to scope: what packs each for
-- itself (Gorilla, DoubleDelta) hides that, and small blocks end before it.
{{ empty_table() }}
