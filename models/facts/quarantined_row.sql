{{
    config(
        engine="ReplacingMergeTree(applied)",
        order_by="(source_table, row_id, source_version, reason)",
        settings={"index_granularity": 1024},
    )
}}
{{ empty_table() }}
