{{
    config(
        engine="ReplacingMergeTree(applied)",
        order_by="(toStartOfHour(reviewed_at), review_id)",
        settings={"index_granularity": 1024},
    )
}}
{{ empty_table() }}
