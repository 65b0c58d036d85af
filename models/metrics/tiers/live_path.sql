{{ config(**stage_table("(as_of, strategy_id, account, edge)")) }} {{ empty_table() }}
