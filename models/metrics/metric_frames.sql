select * from {{ at_known_with_edges("frames_at_edges") }}
