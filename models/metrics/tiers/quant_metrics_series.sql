{{
    config(
        engine="ReplacingMergeTree",
        order_by=(
            "(strategy_id, account, window, metric_name, toStartOfHour(as_of), toStartOfMinute(as_of), as_of)"
        ),
        partition_by="(toDate(as_of), tier)",
        ttl=series_ttl(),
        settings={"merge_with_ttl_timeout": 3600},
        full_refresh=false,
        mv_on_schema_change="append_new_columns",
    )
}}
-- The only table that cannot be computed again at once: a full refresh keeps its rows.
{{ empty_table() }}
