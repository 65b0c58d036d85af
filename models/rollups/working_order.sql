{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by="(is_brief, toStartOfHour(working_from), order_id)",
        settings={"index_granularity": 1024},
        indexes=[{"name": "until_range", "definition": "working_until TYPE minmax GRANULARITY 4"},
            {"name": "by_row", "definition": "order_id TYPE bloom_filter GRANULARITY 1"}],
    )
}}
{{ empty_table() }}
