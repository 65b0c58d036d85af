"""Endpoints for probes: alive, and ready to serve live frames."""

from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from api.deps import SettingsDep, WarehouseDep
from api.errors import ApiError

router = APIRouter(tags=["service"])


@router.get("/", include_in_schema=False)
async def root() -> RedirectResponse:
    """A person who opens the bare address wants to see what is here."""
    return RedirectResponse("/docs")


@router.get("/healthz")
async def healthz() -> dict[str, bool]:
    """The process answers."""
    return {"ok": True}


@router.get("/readyz")
async def readyz(settings: SettingsDep, warehouse: WarehouseDep) -> dict[str, bool | float]:
    """The warehouse answers, and its newest frame is not older than JANGAR_TORGHUT_QUANT_MAX_STALENESS_SECONDS."""
    newest = (await warehouse.rows("newest_frame"))[0]["as_of"]
    if newest is None:
        raise ApiError(503, "No frame has been computed yet.", "The first one follows the first mirrored facts.")
    age = (datetime.now(UTC) - newest.astimezone(UTC)).total_seconds()
    if settings.control_plane_enabled and age > settings.max_staleness_seconds:
        raise ApiError(503, f"The newest frame is {age:.0f} s old.", "See the stages of the health endpoint.")
    return {"ok": True, "frame_age_seconds": round(age, 3)}
