"""The FastAPI application: routes, error shape, start and stop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from fastapi import Depends, FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from api.deps import require_enabled
from api.description import describe
from api.errors import install_error_handlers
from api.frames import NewestFrames
from api.observe import Latencies, Observe
from api.parameters import refuse_unknown_parameters
from api.problems import problems
from api.reads import Reads
from api.rendered import Snapshots
from api.report import reporting
from api.routes import (
    actions,
    alerts,
    costs,
    curves,
    description,
    explain,
    health,
    metrics,
    pipeline,
    positions,
    series,
    service,
    session,
    snapshot,
    stream,
    trading,
    ui,
)
from api.security.access import Access, is_loopback, require_read
from api.security.limits import Limits
from api.stream.hub import Hub
from api.warehouse import Warehouse
from orchestration.settings import Settings

TRADING = "/api/torghut/trading"
PREFIX = f"{TRADING}/control-plane/quant"


def create_app(settings: Settings) -> FastAPI:
    """Build the application. Nothing is connected before the first request needs it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with reporting(app.state.warehouse, app.state.hub) if settings.control_plane_enabled else nullcontext():
            yield
        await app.state.hub.close()
        await app.state.warehouse.close()

    app = FastAPI(
        title="jangar-quant",
        version="0.1.0",
        summary="Strategy performance in near real time: metric frames with their quality and freshness.",
        lifespan=lifespan,
        responses=problems(),
        docs_url=None,
        redoc_url=None,
    )
    app.openapi = lambda: describe(app)  # type: ignore[method-assign]
    app.state.settings = settings
    app.state.limits = Limits(settings)
    app.state.access = Access(settings, app.state.limits)
    app.state.latencies = Latencies()
    app.state.warehouse = Warehouse(settings)
    app.state.frames = NewestFrames(app.state.warehouse)
    app.state.snapshots = Snapshots(app.state.frames)
    app.state.reads = Reads(app.state.warehouse)
    app.state.hub = Hub(app.state.warehouse, app.state.frames)
    install_error_handlers(app)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=_allowed_hosts(settings), www_redirect=False)
    app.add_middleware(Observe, latencies=app.state.latencies)
    description.serve_files(app)
    app.include_router(description.router)
    strict = Depends(refuse_unknown_parameters)
    reads, enabled = [strict, Depends(require_read)], Depends(require_enabled)
    app.include_router(service.router, dependencies=[strict])
    app.include_router(metrics.router, dependencies=reads)
    app.include_router(session.router, prefix="/api/torghut", dependencies=[strict])
    app.include_router(trading.router, prefix=TRADING, dependencies=[*reads, enabled], responses=problems(404))
    app.include_router(health.router, prefix=PREFIX, dependencies=reads)
    for routes in (snapshot, explain, series, stream, alerts, actions, curves, costs, positions, pipeline):
        app.include_router(routes.router, prefix=PREFIX, dependencies=[*reads, enabled], responses=problems(404))
    app.include_router(ui.router)
    app.mount(ui.PATH, ui.dashboards(), name="ui")
    return app


def _allowed_hosts(settings: Settings) -> list[str]:
    """A page elsewhere may point a name of its own at loopback; such a name must not be answered."""
    if names := settings.api_allowed_hosts.split():
        return names
    return ["localhost", "127.0.0.1", "[::1]"] if is_loopback(settings.api_host) else ["*"]
