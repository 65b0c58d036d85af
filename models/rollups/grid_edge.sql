{{ config(**stage_table("(as_of, account, edge)")) }} {{ empty_table() }}
