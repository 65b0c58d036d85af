"""Repairs: jobs that make good what gates found; each evaluates its gate again at its end."""
