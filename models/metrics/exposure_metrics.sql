select * from {{ at_known_with_edges("exposure_at_edges") }}
