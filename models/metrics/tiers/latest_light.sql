{{ config(engine="MergeTree", order_by="(strategy_id, account, window, metric_name)") }}
{{ empty_table() }}
