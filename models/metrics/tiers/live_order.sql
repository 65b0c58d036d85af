{{ config(**stage_table("(as_of, strategy_id, account, window_edge)")) }} {{ empty_table() }}
