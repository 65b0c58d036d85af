{{ metric_frames() }}
