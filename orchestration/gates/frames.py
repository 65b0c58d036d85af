"""Gates: stored frames against the same frames recomputed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestration.gates.verdict import Finding, Verdict, gates
from orchestration.replay.scope import Scope
from orchestration.replay.verify import Sample, behind_start, verify

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def frames_reproduce(client: Client, days: int, size: int) -> Verdict:
    """Recompute `size` random moments of the last `days` days (0: of all) and compare bit by bit."""
    gate = gates()["frames_reproduce"]
    # The newest minute may still be written.
    end = datetime.now(UTC) - timedelta(minutes=1)
    start = datetime(1970, 1, 1, tzinfo=UTC) if days == 0 else end - timedelta(days=days)
    start, end = behind_start(client, start, end)
    found = verify(client, Sample(Scope(), start, end, size, random.randrange(2**32)), lambda: None)
    findings = [
        Finding(
            f"{metric} of {strategy or 'all strategies'} on {account or 'all accounts'} {window} at {d.as_of}:"
            f" {', '.join(d.columns)}",
            account,
            strategy,
        )
        for d in found.differences
        for strategy, account, window, metric in [d.key]
    ]
    return Verdict("frames_reproduce", gate, gate.severity, findings, {"moments": found.moments, "rows": found.rows})
