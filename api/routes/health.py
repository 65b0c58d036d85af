"""GET health: watermark, lag and last success of every stage, and one word for all of them."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.deps import SettingsDep, WarehouseDep
from api.errors import WarehouseUnavailable
from api.models import HealthResponse, Stage
from api.times import Moment, past_moment

router = APIRouter(tags=["quant"])


@router.get("/health")
async def health(
    settings: SettingsDep,
    warehouse: WarehouseDep,
    as_of: Annotated[
        Moment | None,
        Query(description="A past moment, of the last 90 days: as it was then, to ten seconds. Default: now."),
    ] = None,
) -> HealthResponse:
    """Health by stage. Always answers 200 while the API itself works; `status` tells the state of the pipeline.

    Of a past moment without samples, when nothing ran, there are no stages, and `status` is `down`.
    """
    at = past_moment(as_of) if as_of is not None else None
    status: Literal["ok", "degraded", "down", "disabled"] = "down"
    stages: list[Stage] = []
    try:
        rows = await (warehouse.rows("pipeline_health_at", {"as_of": at}) if at else warehouse.rows("pipeline_health"))
        stages = [Stage(**row) for row in rows]
        if stages or at is None:
            status = "ok" if stages and all(stage.status == "ok" for stage in stages) else "degraded"
    except WarehouseUnavailable:
        pass
    if at is None and not settings.control_plane_enabled:
        status = "disabled"
    return HealthResponse(
        status=status,
        as_of=at or datetime.now(UTC),
        max_staleness_seconds=settings.max_staleness_seconds,
        stages=stages,
    )
