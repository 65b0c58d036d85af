{{ config(engine="MergeTree", order_by="(account, strategy_id, symbol)") }}
{{ empty_table() }}
