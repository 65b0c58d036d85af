"""Everything that moves, computes or schedules data: source, mirror, warehouse, desk, tiers, Dagster, command line."""
