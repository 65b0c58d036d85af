{{ config(engine="ReplacingMergeTree", order_by="(as_of, strategy_id, account, window_edge)", ttl="toDateTime(as_of) + interval 1 hour") }}
{{ empty_table() }}
