{{ config(engine="AggregatingMergeTree", order_by="(day_at, account)") }} {{ empty_table() }}
