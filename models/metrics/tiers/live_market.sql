{{ config(engine="ReplacingMergeTree", order_by="(as_of, calendar, edge, symbol)", ttl="toDateTime(as_of) + interval 1 hour", settings={"merge_with_ttl_timeout": 600}) }}
{{ empty_table() }}
