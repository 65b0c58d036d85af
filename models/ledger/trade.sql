{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by="(toStartOfHour(traded_at), account, strategy_id, symbol, order_id)",
        settings={"index_granularity": 1024, "deduplicate_merge_projection_mode": "rebuild"},
        projections=[{"name": "by_order", "index": "order_id"}],
        indexes=[
            {"name": "first_closed_range", "definition": "first_closed_at TYPE minmax GRANULARITY 8"},
            {"name": "revision_range", "definition": "intDiv(revision, 2) TYPE minmax GRANULARITY 8"},
        ],
    )
}}
{{ empty_table() }}
