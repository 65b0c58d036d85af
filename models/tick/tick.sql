{{ config(engine="Null") }} {{ empty_table() }}
