{{
    config(
        engine="ReplacingMergeTree",
        order_by="(as_of, calendar, edge, symbol)",
        partition_by="toStartOfFiveMinutes(as_of)",
        ttl="toDateTime(as_of) + interval 5 minute",
        settings={
            "index_granularity": 256,
            "ttl_only_drop_parts": 1,
            "merge_with_ttl_timeout": 60,
        },
    )
}}
{{ empty_table() }}
