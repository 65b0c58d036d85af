{{ config(engine="ReplacingMergeTree", order_by="(as_of, account, edge)", ttl="toDateTime(as_of) + interval 1 hour") }}
{{ empty_table() }}
