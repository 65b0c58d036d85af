select * from {{ at_as_of_with_edges("metric_frames_at_edges") }}
