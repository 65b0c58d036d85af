{{ calendar_edges() }}
