{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by="(day_at, account, strategy_id)",
        settings={"index_granularity": 1024},
    )
}}
{{ empty_table() }}
