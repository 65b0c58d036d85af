"""Rows of alerts as responses tell them."""

from datetime import datetime
from typing import Any

from api.frames import Scope
from api.models import Alert, Evidence
from api.warehouse import Warehouse


def alert_of(row: dict[str, Any]) -> Alert:
    """A row of `api_alerts`."""
    evidence = [Evidence(as_of=as_of, value=value) for as_of, value in row["evidence"]]
    return Alert(**{**row, "evidence": evidence})


def concerns(alert: Alert, scope: Scope) -> bool:
    """Whether who looks at a scope wants to know of an alert: it is of the scope, or of the data below it."""
    if alert.category == "data":
        return alert.account in ("", scope.account) or scope.account == ""
    return (alert.strategy_id, alert.account, alert.window) == scope


async def alerts_at(warehouse: Warehouse, scope: Scope, moment: datetime) -> list[Alert]:
    """The alerts of a scope that were open at a past moment; raises as `all_alerts_at` does."""
    return [alert for alert in await all_alerts_at(warehouse, moment) if concerns(alert, scope)]


async def all_alerts_at(warehouse: Warehouse, moment: datetime) -> list[Alert]:
    """The alerts that were open at a past moment.

    Raises:
        WarehouseUnavailable: the warehouse cannot be reached, or the query failed there.
    """
    rows = await warehouse.rows(
        "alerts",
        {
            **dict.fromkeys(("severity", "metric", "window", "strategy_id", "account"), ""),
            "state": "all",
            "any_strategy": 1,
            "any_account": 1,
            "since": moment,
            "until": moment,
            "limit": 1000,
        },
    )
    return [alert_of(row) for row in rows]
