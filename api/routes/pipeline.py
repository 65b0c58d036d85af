"""GET pipeline, reconciliation and policies: what the numbers rest on, and what is expected of them."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import ReadsDep, SettingsDep, WarehouseDep
from api.pages import time_range
from api.routes.curves import To
from api.times import Moment
from api.view_models import (
    AccountState,
    Mirror,
    PipelineResponse,
    PoliciesResponse,
    Policy,
    Reconciliation,
    ReconciliationResponse,
    SymbolFeed,
    TickMinute,
)

router = APIRouter(tags=["dashboards"])

_DAYS = timedelta(days=10)


@router.get("/pipeline")
async def pipeline(reads: ReadsDep, settings: SettingsDep) -> PipelineResponse:
    """Mirrors, feeds by instrument, accounts, and the ticks of the last hour."""
    found = await reads.pipeline.get()
    return PipelineResponse(
        mirrors=[Mirror(**row) for row in found["mirrors"]],
        feeds=[SymbolFeed(**row) for row in found["feeds"]],
        accounts=[AccountState(**row) for row in found["accounts"]],
        ticks=[TickMinute(**row) for row in found["ticks"]],
        dagster_url=f"http://127.0.0.1:{settings.dagster_port}",
    )


@router.get("/reconciliation")
async def reconciliation(
    warehouse: WarehouseDep,
    account: Annotated[str, Query(max_length=64, description="Account label. Empty: all accounts.")] = "",
    start: Annotated[
        Moment | None, Query(alias="from", description="First moment. Default: ten days before `to`.")
    ] = None,
    end: To = None,
) -> ReconciliationResponse:
    """What accounts gained per day beside what flows and strategies explain of it."""
    _, last = time_range(None, end)
    first, last = time_range(start or last - _DAYS, last)
    rows = await warehouse.rows("reconciliation", {"account": account, "since": first, "until": last})
    return ReconciliationResponse(days=[Reconciliation(**row) for row in rows])


@router.get("/policies")
async def policies(warehouse: WarehouseDep) -> PoliciesResponse:
    """Every policy by which alerts open and end."""
    return PoliciesResponse(policies=[Policy(**row) for row in await warehouse.rows("policies")])
