{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by="(hour_at, account, strategy_id, symbol)",
        settings={"index_granularity": 1024},
    )
}}
{{ empty_table() }}
