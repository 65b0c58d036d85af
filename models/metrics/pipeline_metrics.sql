select * from {{ at_known_with_edges("pipeline_at_edges") }}
