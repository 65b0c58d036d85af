{{
    config(
        materialized="table",
        contract={"enforced": true},
        engine="MergeTree",
        order_by="(policy_id, strategy_id, account, window)",
        full_refresh=false,
        mv_on_schema_change="append_new_columns",
    )
}}
-- An open episode is not forgotten by a full refresh.
{{ empty_table() }}
