"""Gates: what the warehouse keeps of verdicts, from which the API takes the quality `error`."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestration.gates.verdict import Verdict, told

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_COLUMNS = ["check_name", "gate", "account", "strategy_id", "status", "detail", "checked_at", "run_id"]


def record(client: Client, verdict: Verdict, run_id: str = "") -> None:
    """Keep what fails, by scope, and that what failed before has passed; a check that never failed leaves no row."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for finding in verdict.findings:
        found[finding.account, finding.strategy_id].append(finding.text)
    failing = client.query(
        "select account, strategy_id from quant.quality_gate final"
        " where check_name = {check:String} and status != 'ok'",
        parameters={"check": verdict.check},
    ).result_rows
    states = dict.fromkeys(failing, ("ok", "")) | {
        scope: (verdict.severity, told(texts)) for scope, texts in found.items()
    }
    if not states:
        return
    now = datetime.now(UTC)
    client.insert(
        "quant.quality_gate",
        [
            [verdict.check, verdict.gate.name, account, strategy, status, detail, now, run_id]
            for (account, strategy), (status, detail) in states.items()
        ],
        column_names=_COLUMNS,
        settings={"async_insert": 0},
    )


def failing_checks(client: Client, gate: str) -> dict[str, list[str]]:
    """Checks of a gate that failed last, each with the accounts that are concerned (an empty one: all)."""
    rows = client.query(
        "select check_name, groupArray(account) from quant.quality_gate final"
        " where gate = {gate:String} and status != 'ok' group by check_name order by check_name",
        parameters={"gate": gate},
    ).result_rows
    return {row[0]: row[1] for row in rows}
