"""Heavy recomputes: the close of a session, backfills, a new version of formulas, and what is thrown away."""
