{{
    config(
        materialized="table",
        contract={"enforced": true},
        engine="ReplacingMergeTree",
        order_by="(transition_at, alert_id, state)",
        partition_by="toYYYYMM(transition_at)",
        indexes=[{"name": "by_alert", "definition": "alert_id TYPE bloom_filter GRANULARITY 1"}],
        full_refresh=false,
        mv_on_schema_change="append_new_columns",
    )
}}
-- What was told to people is not computed again: a full refresh keeps its rows.
{{ empty_table() }}
