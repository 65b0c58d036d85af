"""Gates: stored frames against the same frames recomputed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestration.gates.verdict import Finding, Verdict, gates
from orchestration.replay.scope import Scope
from orchestration.replay.verify import Sample, verify

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# Of a first frame 3 s behind the start, the freshness of signals differed: symbols' hours were not there yet.
_WARM_UP = timedelta(minutes=3)


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


def behind_start(client: Client, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Leave out the first minutes of a warehouse: its ticks begin while the sums of the history are still being made.

    What was recomputed of moments before them is looked at while there is nothing newer.
    """
    rows = client.query("select min(as_of) from quant.known_state having count() > 0").result_rows
    if not rows:
        return start, end
    began: datetime = rows[0][0]
    if began + _WARM_UP < end:
        return max(start, began + _WARM_UP), end
    return start, min(end, began)
