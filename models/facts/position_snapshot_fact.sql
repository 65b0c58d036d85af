{{
    config(
        engine="ReplacingMergeTree(applied, is_deleted)",
        order_by="(toStartOfHour(snapshot_at), account, snapshot_at, snapshot_id)",
        settings={"index_granularity": 1024},
        indexes=[{"name": "applied_range", "definition": "applied TYPE minmax GRANULARITY 64"},
            {"name": "by_row", "definition": "snapshot_id TYPE bloom_filter GRANULARITY 1"}],
    )
}}
{{ empty_table() }}
