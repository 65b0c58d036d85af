{{ config(engine="MergeTree", order_by="(is_end, batch)", ttl=queue_ttl(), settings={"index_granularity": 1024}) }}
{{ empty_table() }}
