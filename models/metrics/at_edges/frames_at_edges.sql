{{ metric_frames(families_of()) }}
