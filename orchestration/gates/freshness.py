"""Gates: how late stages are, and which feeds are silent while a session is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestration.gates.verdict import Finding, Verdict, gates

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

FEEDS = ("ta_freshness_seconds", "minutes_without_data")


@dataclass(frozen=True)
class Age:
    """How old a stage is and may be, in seconds (None: it has never succeeded), and what it fails with."""

    seconds: float | None
    allowed: float
    error: str


def ages(client: Client) -> dict[str, Age]:
    """Every stage of the pipeline.

    An idle source is not late: stages are measured by what they have seen, not by the last trade.
    """
    rows = client.query(
        "select stage, if(stage = 'mirror', lag_seconds, age_seconds), allowed_lag_seconds, error"
        " from quant.quant_pipeline_health"
    ).result_rows
    return {
        stage: Age(None if age is None else float(age), float(allowed), error) for stage, age, allowed, error in rows
    }


def is_fresh(stage: str, age: Age | None) -> Verdict:
    """Compare the age of a stage with what it is allowed."""
    gate = gates()["is_fresh"]
    findings = []
    measured: dict[str, float | int | str] = {}
    if age is None or age.seconds is None:
        findings.append(Finding(f"{stage} has never succeeded"))
    else:
        measured = {"age_seconds": age.seconds, "allowed_seconds": age.allowed}
        if age.seconds > age.allowed:
            findings.append(Finding(f"{stage} is {age.seconds:.0f} s old, {age.allowed:.0f} allowed"))
    if age is not None and age.error:
        findings.append(Finding(f"{stage}: {age.error.splitlines()[0]}"))
    return Verdict(f"is_fresh:{stage}", gate, gate.severity, findings, measured)


def feeds_arrive(client: Client) -> Verdict:
    """Compare feeds of accounts whose session is open with the thresholds of their alert policies."""
    gate = gates()["feeds_arrive"]
    rows = client.query(
        "select signal.signal, signal.account, signal.value, policy.threshold, signal.is_open"
        " from quant.alert_signal as signal inner join quant.alert_policy as policy on signal.signal = policy.signal"
        " where signal.signal in {feeds:Array(String)} order by 1, 2",
        parameters={"feeds": list(FEEDS)},
    ).result_rows
    findings = [
        Finding(f"{signal}{f' of {account}' if account else ''} is {value:.0f}, {threshold:.0f} allowed", account)
        for signal, account, value, threshold, is_open in rows
        if is_open and value is not None and value > threshold
    ]
    return Verdict("feeds_arrive", gate, gate.severity, findings, {"open_feeds": sum(bool(row[4]) for row in rows)})
