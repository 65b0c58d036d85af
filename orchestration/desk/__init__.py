"""The simulated trading desk: writes to the source Postgres and to the TA tables what a live Torghut would write."""
