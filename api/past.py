"""Frames of past moments, computed when somebody asks for them."""

import asyncio
from datetime import datetime
from typing import Any

from api.frames import Scope
from api.warehouse import Warehouse
from orchestration.transform.on_demand import EDGES, FRAME_SETTINGS, VIEW_TEXT, sql_moment, with_edges

_VIEW = "api_metric_frame"
# Planning it takes 2 s by itself, 7 to 9 s beside the tiers on two slow cores.
_SECONDS = 30
_ROWS = (
    "select * from ({view}) where strategy_id = {{strategy_id:String}} and account = {{account:String}}"
    " and window = {{window:String}} order by metric_name"
)


async def past_frame(warehouse: Warehouse, scope: Scope, as_of: datetime, known_at: datetime) -> list[dict[str, Any]]:
    """The rows of a scope's frame at `as_of`, from what was known at `known_at`.

    Raises:
        WarehouseUnavailable: the warehouse cannot be reached, or a query failed there.
    """
    moment = {"as_of": sql_moment(as_of), "known_at": sql_moment(known_at)}
    views, edges = await asyncio.gather(
        warehouse.query(VIEW_TEXT, {"view": _VIEW, "database": "quant"}),
        warehouse.query(EDGES, {"as_of": moment["as_of"], "account": scope.account}),
    )
    return await warehouse.query(
        _ROWS.format(view=with_edges(views[0]["as_select"], edges[0]["edges"])),
        {**scope._asdict(), **moment},
        {**FRAME_SETTINGS, "max_execution_time": _SECONDS},
    )
