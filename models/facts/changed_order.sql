{{ config(engine="MergeTree", order_by="(broker_order_id)") }}
{{ empty_table() }}
