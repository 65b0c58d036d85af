{{ config(engine="ReplacingMergeTree", order_by="(as_of, account, edge, symbol)", ttl="toDateTime(as_of) + interval 1 hour") }}
{{ empty_table() }}
