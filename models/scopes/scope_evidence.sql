{{ config(engine="AggregatingMergeTree", order_by="(account, strategy_id, evidence)") }}
{{ empty_table() }}
