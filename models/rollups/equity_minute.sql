{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by="(account, grid_at)",
        settings={"index_granularity": 1024},
    )
}}
{{ empty_table() }}
