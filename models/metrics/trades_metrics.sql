select * from {{ at_known_with_edges("trades_at_edges") }}
