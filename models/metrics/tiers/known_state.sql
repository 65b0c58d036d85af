{{ config(engine="ReplacingMergeTree", order_by="as_of", partition_by="toYYYYMM(as_of)", full_refresh=false, mv_on_schema_change="append_new_columns") }}
{{ empty_table() }}
