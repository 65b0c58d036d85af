{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by="(account, strategy_id, symbol, executed_at, sequence, fill_id)",
        settings={"index_granularity": 1024},
    )
}}
{{ empty_table() }}
