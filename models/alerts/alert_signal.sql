{{
    config(
        materialized="table",
        contract={"enforced": true},
        engine="MergeTree",
        order_by="(subject, signal, strategy_id, account, window)",
    )
}}
{{ empty_table() }}
