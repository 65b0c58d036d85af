"""GET positions: what is open, by the ledger, now or at a past moment."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import FramesDep, WarehouseDep
from api.past import positions_at
from api.scopes import resolve_strategy
from api.times import Moment, past_moment
from api.view_models import Position, PositionsResponse

router = APIRouter(tags=["dashboards"])


@router.get("/positions")
async def positions(
    warehouse: WarehouseDep,
    frames: FramesDep,
    strategy_id: Annotated[str, Query(max_length=255, description="Id or unique name. Empty: all strategies.")] = "",
    account: Annotated[str, Query(max_length=64, description="Account label. Empty: all accounts.")] = "",
    as_of: Annotated[Moment | None, Query(description="A past moment. Default: now.")] = None,
) -> PositionsResponse:
    """Open positions with cost, mark and gain, the largest first, at most 1,000; of the past from what is known now."""
    strategy, _ = await resolve_strategy(frames, strategy_id)
    now = datetime.now(UTC)
    moment = past_moment(as_of) if as_of else now
    rows = await positions_at(warehouse, strategy, account, moment, now)
    names = {row["strategy_id"]: row["strategy_name"] for row in await frames.strategies()}
    return PositionsResponse(
        as_of=moment,
        positions=[Position(**row, strategy_name=names.get(row["strategy_id"], "")) for row in rows],
    )
