{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by="(account, strategy_id, grid_at)",
        settings={"index_granularity": 1024},
    )
}}
{{ empty_table() }}
