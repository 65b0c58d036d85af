{{
    config(
        engine="AggregatingMergeTree",
        order_by="(hour_at, symbol)",
        settings={"index_granularity": 1024},
    )
}}
{{ empty_table() }}
