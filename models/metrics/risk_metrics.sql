select * from {{ at_known_with_edges("risk_at_edges") }}
