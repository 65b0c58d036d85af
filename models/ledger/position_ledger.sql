{{
    config(
        engine="ReplacingMergeTree(revision, is_deleted)",
        order_by=(
            "(toStartOfHour(executed_at), account, strategy_id, symbol, executed_at, sequence, fill_id, superseded_by)"
        ),
        settings={"index_granularity": 1024},
        indexes=[
            {"name": "revision_range", "definition": "revision TYPE minmax GRANULARITY 64"},
            {"name": "superseded_range", "definition": "superseded_by TYPE minmax GRANULARITY 64"},
        ],
    )
}}
{{ empty_table() }}
