{{
    config(
        engine="ReplacingMergeTree(revision)",
        order_by="(account, strategy_id, symbol)",
        settings={"index_granularity": 1024},
    )
}}
{{ empty_table() }}
