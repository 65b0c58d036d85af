{{
    config(
        engine="ReplacingMergeTree(applied, is_deleted)",
        order_by="(decision_id)",
        settings={"index_granularity": 1024},
        indexes=[{"name": "applied_range", "definition": "applied TYPE minmax GRANULARITY 64"}],
    )
}}
{{ empty_table() }}
