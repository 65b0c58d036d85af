"""What this process says of itself to the warehouse, so that an API that is gone is a stage that is late."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from api.errors import WarehouseUnavailable
from orchestration.logs import redact

if TYPE_CHECKING:
    from api.stream.hub import Hub
    from api.warehouse import Warehouse

logger = logging.getLogger(__name__)

TABLE, COLUMNS = "serving_report", ("replica", "error", "newest_frame_at", "clients", "reported_at")
# A third of the staleness that a stage is allowed.
_SECONDS = 5.0


@contextlib.asynccontextmanager
async def reporting(warehouse: Warehouse, hub: Hub) -> AsyncIterator[None]:
    """Report every few seconds meanwhile. A warehouse that takes no report is told of once, and tried again."""
    task = asyncio.create_task(_report_on(warehouse, hub))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _report_on(warehouse: Warehouse, hub: Hub) -> None:
    replica = f"{socket.gethostname()}:{os.getpid()}"
    told = ""
    while True:
        error, newest = "", None
        try:
            # By the way that every answer takes: as the read-only user.
            newest = (await warehouse.rows("readiness"))[0]["newest_frame_at"]
        except WarehouseUnavailable as unavailable:
            error = redact(str(unavailable)).splitlines()[0][:300]
        try:
            await warehouse.insert(TABLE, COLUMNS, (replica, error, newest, hub.listeners, datetime.now(UTC)))
            told = ""
        except WarehouseUnavailable as unavailable:
            text = redact(str(unavailable)).splitlines()[0]
            if text != told:
                logger.warning("the warehouse takes no report: %s", text)
            told = text
        await asyncio.sleep(_SECONDS)
