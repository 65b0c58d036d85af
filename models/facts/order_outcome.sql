{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by="(toStartOfHour(last_at), account, strategy_id, order_id, superseded_by)",
        settings={"index_granularity": 1024},
        indexes=[{"name": "submitted_range", "definition": "submitted_at TYPE minmax GRANULARITY 8"},
            {"name": "superseded_range", "definition": "superseded_by TYPE minmax GRANULARITY 64"},
            {"name": "by_order", "definition": "broker_order_id TYPE bloom_filter GRANULARITY 1"}],
    )
}}
{{ empty_table() }}
