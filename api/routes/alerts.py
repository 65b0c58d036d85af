"""GET alerts: episodes with their state, and the history of one."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query

from api.alerts import alert_of
from api.deps import WarehouseDep
from api.errors import ApiError
from api.models import AlertChange, AlertResponse, AlertsResponse, Window
from api.times import Moment, utc

router = APIRouter(tags=["quant"])

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@router.get("/alerts")
async def alerts(
    warehouse: WarehouseDep,
    state: Annotated[
        Literal["active", "open", "recovering", "no_data", "resolved", "all"],
        Query(description="`active`: everything that is not resolved."),
    ] = "active",
    severity: Annotated[Literal["", "critical", "warning", "info"], Query(description="Default: any.")] = "",
    strategy_id: Annotated[
        str | None, Query(max_length=255, description="Id of a strategy; empty: over all strategies. Default: any.")
    ] = None,
    account: Annotated[
        str | None, Query(max_length=64, description="Account label; empty: over all accounts. Default: any.")
    ] = None,
    metric: Annotated[str, Query(max_length=64, description="Metric or signal of the pipeline. Default: any.")] = "",
    window: Annotated[Window | None, Query(description="Default: any.")] = None,
    since: Annotated[Moment | None, Query(alias="from", description="Not resolved before. Default: ever.")] = None,
    until: Annotated[Moment | None, Query(alias="to", description="Opened by then. Default: now.")] = None,
    limit: Annotated[int, Query(ge=1, le=5000, description="How many at most.")] = 500,
) -> AlertsResponse:
    """Alerts, the last opened first."""
    first, last = utc(since or _BEGINNING), utc(until or datetime.now(UTC))
    if first > last:
        raise ApiError(400, "from: lies behind `to`.", "Give an earlier one.")
    rows = await warehouse.rows(
        "alerts",
        {
            "state": state,
            "severity": severity,
            "metric": metric,
            "window": window or "",
            "strategy_id": strategy_id or "",
            "account": account or "",
            "any_strategy": int(strategy_id is None),
            "any_account": int(account is None),
            "since": first,
            "until": last,
            "limit": limit + 1,
        },
    )
    return AlertsResponse(alerts=[alert_of(row) for row in rows[:limit]], truncated=len(rows) > limit)


@router.get("/alerts/{alert_id}")
async def alert(
    warehouse: WarehouseDep, alert_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Id of an episode.")]
) -> AlertResponse:
    """One alert with everything that happened to it."""
    rows = await warehouse.rows("alert", {"alert_id": alert_id})
    if not rows:
        raise ApiError(404, "alert_id: there is no such alert.", "GET alerts?state=all lists them.")
    changes = await warehouse.rows("alert_transitions", {"alert_id": alert_id})
    return AlertResponse(alert=alert_of(rows[0]), history=[AlertChange(**change) for change in changes])
