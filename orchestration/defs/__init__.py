"""Dagster: heavy recomputes, backfills and quality gates; never on the one-second path (a run costs seconds)."""
