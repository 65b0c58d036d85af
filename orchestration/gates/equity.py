"""Gates: what accounts gained against what strategies on them made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestration.gates.verdict import Finding, Verdict, gates

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


def explains_equity(client: Client, days: int) -> Verdict:
    """Compare the change of equity that flows and strategies leave unexplained with the tolerance, by account and day.

    Points that are not valued yet say nothing. `days` = 0: all of them.
    """
    gate = gates()["explains_equity"]
    rows = client.query(
        "select account, toDate(grid_at) as day, sum(residual) as unexplained, any(equity) as equity,"
        " toFloat64(abs(unexplained)) / greatest(toFloat64(abs(equity)), 1) as share"
        " from quant.account_equity_grid where residual is not null"
        " and ({days:UInt32} = 0 or grid_at >= now() - toIntervalDay({days:UInt32}))"
        " group by account, day order by account, day",
        parameters={"days": days},
    ).result_rows
    findings = [
        Finding(f"{account} {day}: {unexplained} of {equity} unexplained", account)
        for account, day, unexplained, equity, share in rows
        if share > gate.tolerance
    ]
    largest = max((float(row[4]) for row in rows), default=0.0)
    return Verdict(
        "explains_equity",
        gate,
        gate.severity,
        findings,
        {"account_days": len(rows), "largest_share": largest, "tolerance": gate.tolerance},
    )
