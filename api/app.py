"""The FastAPI application: routes, error shape, start and stop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI

from api.deps import require_enabled
from api.errors import install_error_handlers
from api.frames import NewestFrames
from api.reads import Reads
from api.routes import (
    alerts,
    costs,
    curves,
    explain,
    health,
    metrics,
    pipeline,
    positions,
    series,
    service,
    snapshot,
    stream,
    trading,
    ui,
)
from api.stream.hub import Hub
from api.warehouse import Warehouse
from orchestration.settings import Settings

TRADING = "/api/torghut/trading"
PREFIX = f"{TRADING}/control-plane/quant"


def create_app(settings: Settings) -> FastAPI:
    """Build the application. Nothing is connected before the first request needs it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.hub.close()
        await app.state.warehouse.close()

    app = FastAPI(
        title="jangar-quant",
        version="0.1.0",
        summary="Strategy performance in near real time: metric frames with their quality and freshness.",
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.warehouse = Warehouse(settings)
    app.state.frames = NewestFrames(app.state.warehouse)
    app.state.reads = Reads(app.state.warehouse)
    app.state.hub = Hub(app.state.warehouse, app.state.frames)
    install_error_handlers(app)
    app.include_router(service.router)
    app.include_router(metrics.router)
    app.include_router(snapshot.router, prefix=PREFIX, dependencies=[Depends(require_enabled)])
    app.include_router(explain.router, prefix=PREFIX, dependencies=[Depends(require_enabled)])
    app.include_router(trading.router, prefix=TRADING, dependencies=[Depends(require_enabled)])
    app.include_router(series.router, prefix=PREFIX, dependencies=[Depends(require_enabled)])
    app.include_router(stream.router, prefix=PREFIX, dependencies=[Depends(require_enabled)])
    app.include_router(alerts.router, prefix=PREFIX, dependencies=[Depends(require_enabled)])
    for dashboards in (curves, costs, positions, pipeline):
        app.include_router(dashboards.router, prefix=PREFIX, dependencies=[Depends(require_enabled)])
    app.include_router(health.router, prefix=PREFIX)
    app.include_router(ui.router)
    app.mount(ui.PATH, ui.dashboards(), name="ui")
    return app
