select * from {{ at_known_with_edges("execution_at_edges") }}
