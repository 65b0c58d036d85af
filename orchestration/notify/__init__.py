"""Notify: tell people what opened and what ended, at least once and not more often than they asked for."""
