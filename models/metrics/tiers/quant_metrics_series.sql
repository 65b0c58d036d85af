{{
    config(
        engine="ReplacingMergeTree",
        order_by="(strategy_id, account, window, metric_name, as_of)",
        partition_by="toDate(as_of)",
        ttl="toDateTime(as_of) + interval 90 day",
        settings={"ttl_only_drop_parts": 1},
        full_refresh=false,
        mv_on_schema_change="append_new_columns",
    )
}}
-- The only table that cannot be computed again at once: a full refresh keeps its rows.
{{ empty_table() }}
