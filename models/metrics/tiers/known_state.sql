{{ config(engine="ReplacingMergeTree", order_by="as_of", partition_by="toYYYYMM(as_of)", full_refresh=false) }}
{{ empty_table() }}
