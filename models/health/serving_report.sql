{{
    config(
        materialized="table",
        contract={"enforced": true},
        engine="ReplacingMergeTree(reported_at)",
        order_by="replica",
        ttl="toDateTime(reported_at) + interval 1 day",
        full_refresh=false,
        mv_on_schema_change="append_new_columns",
    )
}}
-- The API writes it.
{{ empty_table() }}
