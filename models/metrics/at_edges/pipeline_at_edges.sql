{{ metric_frames(families_of(group="pipeline")) }}
