{{
    config(
        materialized="table",
        contract={"enforced": true},
        engine="MergeTree",
        order_by="(stage, sampled_at)",
        partition_by="toYYYYMM(sampled_at)",
        ttl="toDateTime(sampled_at) + interval 90 day",
        settings={"ttl_only_drop_parts": 1},
        full_refresh=false,
        mv_on_schema_change="append_new_columns",
    )
}}
-- A build keeps the past.
{{ empty_table() }}
