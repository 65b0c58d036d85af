{{ config(**stage_table("(as_of, calendar, edge, symbol)")) }} {{ empty_table() }}
