{{ config(engine="AggregatingMergeTree", order_by="(half_hour_at, account, strategy_id, symbol)") }}
{{ empty_table() }}
