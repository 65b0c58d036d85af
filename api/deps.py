"""What route functions ask for, and the guard of the control plane's switch.

All of it is async: a function that is not goes through a thread, at a tenth of a millisecond each.
"""

from typing import Annotated, cast

from fastapi import Depends, Request

from api.errors import ApiError
from api.frames import NewestFrames
from api.reads import Reads
from api.rendered import Snapshots
from api.security.limits import Limits
from api.stream.hub import Hub
from api.warehouse import Warehouse
from orchestration.settings import Settings


async def _settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


async def _warehouse(request: Request) -> Warehouse:
    return cast(Warehouse, request.app.state.warehouse)


async def _frames(request: Request) -> NewestFrames:
    return cast(NewestFrames, request.app.state.frames)


async def _snapshots(request: Request) -> Snapshots:
    return cast(Snapshots, request.app.state.snapshots)


async def _hub(request: Request) -> Hub:
    return cast(Hub, request.app.state.hub)


async def _reads(request: Request) -> Reads:
    return cast(Reads, request.app.state.reads)


async def _limits(request: Request) -> Limits:
    return cast(Limits, request.app.state.limits)


SettingsDep = Annotated[Settings, Depends(_settings)]
WarehouseDep = Annotated[Warehouse, Depends(_warehouse)]
SnapshotsDep = Annotated[Snapshots, Depends(_snapshots)]
HubDep = Annotated[Hub, Depends(_hub)]
ReadsDep = Annotated[Reads, Depends(_reads)]
LimitsDep = Annotated[Limits, Depends(_limits)]
FramesDep = Annotated[NewestFrames, Depends(_frames)]


async def require_enabled(settings: SettingsDep) -> None:
    """Refuse while JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED is off."""
    if not settings.control_plane_enabled:
        raise ApiError(
            503,
            "The quant control plane is switched off.",
            "Set JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED=true and start again.",
        )
