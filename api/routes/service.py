"""Endpoints for probes: alive, and ready to serve live frames."""

from datetime import UTC, datetime

from fastapi import APIRouter

from api.deps import SettingsDep, WarehouseDep
from api.errors import ApiError
from api.models import Readiness

router = APIRouter(tags=["service"])


@router.get("/healthz")
async def healthz() -> dict[str, bool]:
    """The process answers."""
    return {"ok": True}


@router.get("/readyz")
async def readyz(settings: SettingsDep, warehouse: WarehouseDep) -> Readiness:
    """The warehouse answers, and the light tier is not behind JANGAR_TORGHUT_QUANT_MAX_STALENESS_SECONDS.

    A source without facts has no frames: what counts then is that the tier looked for some.
    """
    state = (await warehouse.rows("readiness"))[0]
    has_facts = bool(state["has_facts"])
    newest = state["newest_frame_at"] if has_facts else state["newest_tick_at"]
    age = (datetime.now(UTC) - newest.astimezone(UTC)).total_seconds() if newest else None
    if settings.control_plane_enabled:
        if age is None:
            raise ApiError(503, "No frame has been computed yet.", "See the stages of the health endpoint.")
        if age > settings.max_staleness_seconds:
            raise ApiError(503, f"The newest frame is {age:.0f} s old.", "See the stages of the health endpoint.")
    return Readiness(has_facts=has_facts, frame_age_seconds=round(age, 3) if has_facts and age is not None else None)
