"""GET health: watermark, lag and last success of every stage, and one word for all of them."""

from datetime import UTC, datetime
from typing import Any, Literal

from fastapi import APIRouter

from api.deps import SettingsDep, WarehouseDep
from api.errors import WarehouseUnavailable
from api.models import HealthResponse, Stage

router = APIRouter(tags=["quant"])


@router.get("/health")
async def health(settings: SettingsDep, warehouse: WarehouseDep) -> HealthResponse:
    """Health by stage. Always answers 200 while the API itself works; `status` tells the state of the pipeline."""
    stages: list[Stage] = []
    status: Literal["ok", "degraded", "down", "disabled"]
    try:
        rows = await warehouse.rows("pipeline_health")
        stages = [Stage(**row, status=_status(row)) for row in rows]
        status = "ok" if stages and all(stage.status == "ok" for stage in stages) else "degraded"
    except WarehouseUnavailable:
        status = "down"
    if not settings.control_plane_enabled:
        status = "disabled"
    return HealthResponse(
        status=status,
        as_of=datetime.now(UTC),
        max_staleness_seconds=settings.max_staleness_seconds,
        stages=stages,
    )


def _status(stage: dict[str, Any]) -> Literal["ok", "late", "failing", "unknown"]:
    if stage["error"]:
        return "failing"
    if stage["lag_seconds"] is None:
        return "unknown"
    return "late" if stage["lag_seconds"] > stage["allowed_lag_seconds"] else "ok"
