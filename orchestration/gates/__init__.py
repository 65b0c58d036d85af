"""Quality gates: what has to hold between source, mirror, ledger, rollups and frames, and what is kept of it.

A gate is a row of seeds/quality_gates.csv. Evaluating one asks the databases and returns a `Verdict`; nothing here
knows Dagster.
"""
