"""What route functions ask for: settings, warehouse, newest frames, and the guard of the control plane's switch."""

from typing import Annotated, cast

from fastapi import Depends, Request

from api.errors import ApiError
from api.frames import NewestFrames
from api.reads import Reads
from api.stream.hub import Hub
from api.warehouse import Warehouse
from orchestration.settings import Settings


def _settings(request: Request) -> Settings:
    return cast(Settings, request.app.state.settings)


def _warehouse(request: Request) -> Warehouse:
    return cast(Warehouse, request.app.state.warehouse)


def _frames(request: Request) -> NewestFrames:
    return cast(NewestFrames, request.app.state.frames)


SettingsDep = Annotated[Settings, Depends(_settings)]


def _hub(request: Request) -> Hub:
    return cast(Hub, request.app.state.hub)


def _reads(request: Request) -> Reads:
    return cast(Reads, request.app.state.reads)


WarehouseDep = Annotated[Warehouse, Depends(_warehouse)]
HubDep = Annotated[Hub, Depends(_hub)]
ReadsDep = Annotated[Reads, Depends(_reads)]
FramesDep = Annotated[NewestFrames, Depends(_frames)]


def require_enabled(settings: SettingsDep) -> None:
    """Refuse while JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED is off."""
    if not settings.control_plane_enabled:
        raise ApiError(
            503,
            "The quant control plane is switched off.",
            "Set JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED=true and start again.",
        )
