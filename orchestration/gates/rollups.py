"""Gates: rollups that grew with the ledger against the same rollups computed from its beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestration.gates.verdict import Finding, Verdict, gates
from orchestration.repair.rollups import Rollup, differing

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def equals_recompute(client: Client, rollup: Rollup) -> Verdict:
    """Compare a rollup with the one beside, which `recompute` has brought up to date."""
    gate = gates()["equals_recompute"]
    compared, different, until = differing(client, rollup)
    findings = [
        Finding(f"{rollup.name} {account} {moment:%Y-%m-%d %H:%M} is not what the ledger gives", account)
        for account, moment in different
    ]
    return Verdict(
        f"equals_recompute:{rollup.name}",
        gate,
        gate.severity,
        findings,
        {"rows": compared, "until": f"{until:%Y-%m-%d %H:%M} UTC"},
    )
