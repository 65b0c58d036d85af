"""Repairs: what makes good what a gate found, while everything else goes on."""
