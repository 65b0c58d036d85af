{{ config(engine="ReplacingMergeTree", order_by="(as_of, strategy_id, account, window_edge)", ttl="toDateTime(as_of) + interval 1 hour", settings={"merge_with_ttl_timeout": 600}) }}
{{ empty_table() }}
