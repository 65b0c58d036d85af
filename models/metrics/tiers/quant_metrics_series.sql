{{
    config(
        engine="ReplacingMergeTree",
        order_by="(strategy_id, account, window, metric_name, as_of)",
        partition_by="toDate(as_of)",
        ttl="toDateTime(as_of) + interval 90 day",
        settings={"ttl_only_drop_parts": 1},
    )
}}
{{ empty_table() }}
