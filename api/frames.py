"""The newest frames, read from the warehouse once per frame however many ask for it."""

import asyncio
import json
from collections import OrderedDict
from typing import Any, NamedTuple

from api.models import Metric, Window
from api.shared import Shared
from api.warehouse import Warehouse

Rows = list[dict[str, Any]]

# A query for frames takes the warehouse 40 ms of a core, one for the newest moment 5 ms: twenty requests per second
# cost a whole core of the two before, and slowed the frames that they asked for.
MOMENT_SECONDS = 0.2
# A frame is read again after this even when no newer one is there: it ages, and turns stale.
ROWS_SECONDS = 1.0
# Seeds change with a build.
SEED_SECONDS = 60.0
SCOPES = 1024


class Scope(NamedTuple):
    """Whose frame: strategy and account (empty: all of them) and window."""

    strategy_id: str
    account: str
    window: Window


class _Batches:
    """Reads what is asked for meanwhile by one query: planning one takes 40 ms, however many scopes it is for."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._wanted: dict[Scope, asyncio.Future[Rows]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def rows(self, scope: Scope) -> Rows:
        """The rows of a scope's newest frame; raises as `Warehouse.rows` does."""
        future = self._wanted.get(scope)
        if future is None:
            future = self._wanted[scope] = asyncio.get_running_loop().create_future()
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        # Another who waits for the same must not lose it to the one who hung up.
        return await asyncio.shield(future)

    async def _read(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            found: dict[Scope, Rows] = {scope: [] for scope in wanted}
            try:
                for row in await self._warehouse.rows("latest_frames", {"scopes": [tuple(scope) for scope in wanted]}):
                    found[Scope(row["strategy_id"], row["account"], row["window"])].append(row)
            except Exception as error:
                for future in wanted.values():
                    future.set_exception(error)
                    # Whoever asked may be gone; then nobody else looks at it.
                    future.exception()
                continue
            for scope, future in wanted.items():
                future.set_result(found[scope])


def metric_of(row: dict[str, Any], seconds: float) -> Metric:
    """A row of a frame, `seconds` after it was read."""
    freshness = row["freshness_seconds"]
    if freshness is not None:
        freshness += seconds
    return Metric(**{**row, "meta": json.loads(row["meta"] or "{}"), "freshness_seconds": freshness})


class NewestFrames:
    """The rows of `latest_frame` and of `strategies`, shared by all requests."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._moment = Shared(lambda: warehouse.rows("newest_frame"), MOMENT_SECONDS)
        self._strategies = Shared(lambda: warehouse.rows("strategies"), ROWS_SECONDS)
        self._definitions = Shared(lambda: warehouse.rows("metric_definitions"), SEED_SECONDS)
        self._levels = Shared(lambda: warehouse.rows("series_levels"), SEED_SECONDS)
        self._alerts = Shared(lambda: warehouse.rows("active_alerts"), ROWS_SECONDS)
        self._batches = _Batches(warehouse)
        self._frames: OrderedDict[Scope, tuple[object, Shared[Rows]]] = OrderedDict()

    async def strategies(self) -> Rows:
        """Every strategy: strategy_id, strategy_name."""
        return await self._strategies.get()

    async def definitions(self) -> Rows:
        """Every metric with its definition, by name."""
        return await self._definitions.get()

    async def levels(self) -> Rows:
        """How finely the series keeps what, the finest first."""
        return await self._levels.get()

    async def alerts(self) -> Rows:
        """Every alert that is not resolved."""
        return await self._alerts.get()

    async def frame(self, scope: Scope) -> tuple[Rows, float]:
        """The rows of the newest frame, and the seconds since they were read.

        Raises:
            WarehouseUnavailable: the warehouse cannot be reached, or the query failed there.
        """
        known, shared = self._frames.get(scope, (None, None))
        if shared is None:
            shared = Shared(lambda: self._batches.rows(scope), ROWS_SECONDS)
            # Nothing to compare the moment with: who waits for the one need not wait for the other.
            found, _ = await asyncio.gather(self._moment.get(), shared.get())
        else:
            found = await self._moment.get()
        moment = found[0]["as_of"]
        if known not in (None, moment):
            shared.expire()
        self._frames[scope] = (moment, shared)
        self._frames.move_to_end(scope)
        while len(self._frames) > SCOPES:
            self._frames.popitem(last=False)
        rows = await shared.get()
        return rows, shared.age()
