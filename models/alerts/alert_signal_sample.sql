{{
    config(
        materialized="table",
        contract={"enforced": true},
        engine="MergeTree",
        order_by="(signal, account, as_of)",
        partition_by="toYYYYMM(as_of)",
        ttl="toDateTime(as_of) + interval 90 day",
        settings={"ttl_only_drop_parts": 1},
        full_refresh=false,
        mv_on_schema_change="append_new_columns",
    )
}}
-- A build keeps the past.
{{ empty_table() }}
