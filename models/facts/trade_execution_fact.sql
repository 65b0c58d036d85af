{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by="(account, strategy_id, symbol, executed_at, sequence, fill_id)",
        settings={"index_granularity": 1024},
        indexes=[{"name": "revision_range", "definition": "revision TYPE minmax GRANULARITY 64"},
            {"name": "by_order", "definition": "broker_order_id TYPE bloom_filter GRANULARITY 1"}],
    )
}}
{{ empty_table() }}
