select * from {{ at_known_with_edges("performance_at_edges") }}
