{{
    config(
        engine="ReplacingMergeTree(applied)",
        order_by="(broker_order_id, order_id, source_version)",
        settings={"index_granularity": 1024},
        indexes=[{"name": "applied_range", "definition": "applied TYPE minmax GRANULARITY 64"},
            {"name": "by_row", "definition": "order_id TYPE bloom_filter GRANULARITY 1"},
            {"name": "by_decision", "definition": "decision_id TYPE bloom_filter GRANULARITY 1"}],
    )
}}
{{ empty_table() }}
