"""Replay: recomputing frames of the past into the series, and checking stored frames against recomputed ones."""
