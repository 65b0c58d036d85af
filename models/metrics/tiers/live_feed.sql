{{ config(**stage_table("(as_of, strategy_id, account)")) }} {{ empty_table() }}
