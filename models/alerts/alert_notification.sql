{{
    config(
        materialized="table",
        contract={"enforced": true},
        engine="MergeTree",
        order_by="(notified_at, channel, alert_id)",
        full_refresh=false,
        mv_on_schema_change="append_new_columns",
    )
}}
{{ empty_table() }}
