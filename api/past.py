"""Frames and positions of any moment: computed when somebody asks for them, or as they were recorded."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from api.errors import ApiError
from api.frames import Scope
from api.series import Level, level_of
from api.warehouse import Warehouse
from orchestration.transform.on_demand import (
    EDGES,
    FRAME_SETTINGS,
    KNOWN,
    VIEW_TEXT,
    moment_of_frame,
    with_constants,
)

# The views of models/serving/frame_parts, those that take longest first.
_PARTS = [f"api_frame_of_{part}" for part in ("paths", "flows", "coverage", "feeds", "orders")]
_TEXTS = "select name, as_select from system.tables where database = 'quant' and name in {views:Array(String)}"
# Together they take 2.2 s of a core beside 200 strategy-accounts.
_SECONDS = 30
# More frames at once would each take longer than anybody waits, and the tiers wait for them too; of one, as many parts
# as a small machine has cores.
_AT_ONCE = asyncio.Semaphore(2)
_PARTS_AT_ONCE = asyncio.Semaphore(2)
_PATIENCE_SECONDS = 20
_ROWS = (
    "select * from ({view}) where strategy_id = {{strategy_id:String}} and account = {{account:String}}"
    " and window = {{window:String}}"
)
_POSITIONS = (
    "select * from ({view}) where {{strategy_id:String}} in ('', strategy_id) and {{account:String}} in ('', account)"
    " order by abs(ifNull(market_value, 0)) desc, account, strategy_id, symbol limit 1000"
)


async def positions_at(
    warehouse: Warehouse, strategy_id: str, account: str, as_of: datetime, known_at: datetime
) -> list[dict[str, Any]]:
    """The open positions of a scope (empty: of all) at `as_of`, from what was known at `known_at`; raises as
    `past_frame` does.
    """
    async with _turn():
        moment = moment_of_frame(as_of, known_at, account)
        view, edges, known = await asyncio.gather(
            warehouse.query(VIEW_TEXT, {"view": "api_positions", "database": "quant"}),
            warehouse.rows("present_edges", moment),
            warehouse.query(KNOWN, moment),
        )
        text = with_constants(view[0]["as_select"], edges=edges[0]["edges"], known=known[0]["known"])
        return await warehouse.query(
            _POSITIONS.format(view=text),
            {"strategy_id": strategy_id, **moment},
            {**FRAME_SETTINGS, "max_execution_time": _SECONDS},
        )


async def past_frame(warehouse: Warehouse, scope: Scope, as_of: datetime, known_at: datetime) -> list[dict[str, Any]]:
    """The rows of a scope's frame at `as_of`, from what was known at `known_at`.

    Raises:
        ApiError: 503, others are computed for so long that this one's turn does not come.
        WarehouseUnavailable: the warehouse cannot be reached, or a query failed there.
    """
    async with _turn():
        moment = moment_of_frame(as_of, known_at, scope.account, scope.strategy_id)
        # What was known, once for all parts, so that they are parts of one frame.
        edges, known, views = await asyncio.gather(
            warehouse.query(EDGES, moment), warehouse.query(KNOWN, moment), warehouse.query(_TEXTS, {"views": _PARTS})
        )
        constants = {"edges": edges[0]["edges"], "known": known[0]["known"]}
        if constants["edges"] == "[]":
            # Nothing had happened by then.
            return []
        texts = {view["name"]: with_constants(view["as_select"], **constants) for view in views}
        parts = await asyncio.gather(*(_part(warehouse, texts[part], scope, moment) for part in _PARTS))
    return sorted((row for part in parts for row in part), key=lambda row: row["metric_name"])


async def _part(warehouse: Warehouse, text: str, scope: Scope, moment: Mapping[str, object]) -> list[dict[str, Any]]:
    async with _PARTS_AT_ONCE:
        return await warehouse.query(
            _ROWS.format(view=text),
            {**scope._asdict(), **moment},
            {**FRAME_SETTINGS, "max_execution_time": _SECONDS},
        )


@asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await _AT_ONCE.acquire()
    except TimeoutError:
        raise ApiError(503, "Many frames of the past are asked for at once.", "Try again.", retry_after=10) from None
    try:
        yield
    finally:
        _AT_ONCE.release()


async def recorded_frame(
    warehouse: Warehouse, levels: list[Level], scope: Scope, as_of: datetime, now: datetime
) -> list[dict[str, Any]]:
    """What the series tells of a scope at `as_of`: what was served then, as finely as the series still keeps it.

    Raises:
        ApiError: the series keeps nothing so old.
        WarehouseUnavailable: the warehouse cannot be reached, or the query failed there.
    """
    level = level_of(levels, now, as_of, "as_of")
    query = {**scope._asdict(), "as_of": as_of, "pause": level["longest_pause_seconds"]}
    return await warehouse.rows("recorded_frame", query)
