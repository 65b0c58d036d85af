{{ config(**stage_table("(as_of, account, edge, symbol)")) }} {{ empty_table() }}
