"""Who goes first where processes want the processor at once.

What answers somebody (the API, the mirror, Postgres) goes before the warehouse, whose tiers can take every core for
seconds, and the warehouse before Dagster: no number waits for that.
"""

import contextlib
import os
from pathlib import Path

WAREHOUSE = 4
DAGSTER = 7


def stand_behind(niceness: int) -> None:
    """Let processes of less niceness have the processor before this one; what it starts stands behind, too."""
    os.nice(niceness)
    # Where each session is a scheduling group of its own, which a child of `up` is, only the group's niceness counts.
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness))
