"""Gates: refreshable views that fail, stand still or were left stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestration.gates.verdict import Finding, Verdict, gates

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# Due for so long and not begun, it stands still.
_OVERDUE_SECONDS = 60


@dataclass(frozen=True)
class Trouble:
    """A view that does not do its work, for how many seconds beyond its interval, and why."""

    view: str
    kind: str
    seconds: int
    text: str


def troubles(client: Client) -> list[Trouble]:
    """The views that fail, that are overdue, or that are stopped.

    The tick is left out where it only waits: that it fails while the one before is under way is its way to do so.
    """
    rows = client.query(
        "select view, multiIf(status = 'Disabled', 'stopped', exception != '', 'fails', 'overdue') as kind,"
        " dateDiff('second', ifNull(last_success_time, toDateTime(now() - uptime())), now())"
        " - toUInt32OrZero(extract(create_table_query, 'REFRESH EVERY (\\\\d+)')) as seconds, exception"
        " from system.view_refreshes as refreshes left join"
        " (select name, create_table_query from system.tables where database = 'quant') as tables"
        " on refreshes.view = tables.name where database = 'quant' and (status = 'Disabled'"
        " or (exception != '' and exception not like '%the tick before is still under way%')"
        " or (status = 'Scheduled' and next_refresh_time < now() - {overdue:UInt32})) order by view",
        parameters={"overdue": _OVERDUE_SECONDS},
    ).result_rows
    return [
        Trouble(view, kind, int(seconds), exception.splitlines()[0] if exception else kind)
        for view, kind, seconds, exception in rows
    ]


def refreshes_succeed(client: Client) -> Verdict:
    """Say which views have been in trouble for longer than the gate's minutes."""
    gate = gates()["refreshes_succeed"]
    found = troubles(client)
    findings = [
        Finding(f"{trouble.view} {trouble.kind} since {trouble.seconds} s: {trouble.text}")
        for trouble in found
        if trouble.seconds > gate.tolerance * 60
    ]
    return Verdict("refreshes_succeed", gate, gate.severity, findings, {"in_trouble": len(found)})
