"""GET strategies, summary, executions and decisions: what is traded, and how it goes."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.alerts import alert_of, all_alerts_at
from api.deps import FramesDep, WarehouseDep
from api.frames import NewestFrames
from api.models import (
    Decision,
    DecisionsResponse,
    Execution,
    ExecutionsResponse,
    StrategiesResponse,
    Strategy,
    SummaryResponse,
    SummaryRow,
    Window,
)
from api.pages import Place, page, time_range
from api.quality import worst
from api.scopes import resolve_strategy
from api.series import level_of
from api.times import Moment, past_moment

router = APIRouter(tags=["trading"])

StrategyOf = Annotated[
    str | None, Query(alias="strategy_id", max_length=255, description="Id or unique name. Default: any.")
]
AccountOf = Annotated[str | None, Query(alias="account", max_length=64, description="Account label. Default: any.")]
SymbolOf = Annotated[str, Query(alias="symbol", max_length=64, description="Instrument. Default: any.")]
From = Annotated[Moment | None, Query(alias="from", description="Behind this moment. Default: a day before `to`.")]
To = Annotated[Moment | None, Query(alias="to", description="Up to this moment. Default: now.")]
After = Annotated[str, Query(max_length=500, description="`next` of the page before. Default: the first page.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="How many at most.")]


@router.get("/strategies")
async def strategies(frames: FramesDep) -> StrategiesResponse:
    """Every strategy, by name."""
    rows = sorted(await frames.strategies(), key=lambda row: str(row["strategy_name"]))
    return StrategiesResponse(strategies=[Strategy(**row) for row in rows])


@router.get("/summary")
async def summary(
    warehouse: WarehouseDep,
    frames: FramesDep,
    window: Annotated[Window, Query(description="Window of the metrics.")] = "1d",
    account: AccountOf = None,
    as_of: Annotated[
        Moment | None, Query(description="A past moment, as the series keeps it. Default: the newest frame.")
    ] = None,
) -> SummaryResponse:
    """The newest metrics of every strategy and account side by side, or those told at a past moment."""
    if as_of is None:
        rows = await warehouse.rows("summary", {"window": window})
        active = [alert_of(row) for row in await frames.alerts()]
    else:
        moment = past_moment(as_of)
        pause = level_of(await frames.levels(), datetime.now(UTC), moment, "as_of")["longest_pause_seconds"]
        rows = await warehouse.rows("summary_at", {"window": window, "as_of": moment, "pause": pause})
        active = await all_alerts_at(warehouse, moment)
    shown = [
        SummaryRow(
            strategy_id=row["strategy_id"],
            strategy_name=row["strategy_name"],
            account=row["account"],
            as_of=row["as_of"],
            quality=worst(row["qualities"]),
            active_alerts=sum((a.strategy_id, a.account) == (row["strategy_id"], row["account"]) for a in active),
            metrics=dict(row["metrics"]),
        )
        for row in rows
        if account is None or row["account"] == account
    ]
    return SummaryResponse(window=window, rows=shown)


@router.get("/executions")
async def executions(
    warehouse: WarehouseDep,
    frames: FramesDep,
    strategy: StrategyOf = None,
    account: AccountOf = None,
    symbol: SymbolOf = "",
    start: From = None,
    end: To = None,
    after: After = "",
    limit: Limit = 100,
) -> ExecutionsResponse:
    """Fills from the newest to the oldest, with what each did to the position."""
    query = await query_of(frames, strategy, account, symbol, time_range(start, end), after, limit)
    rows, place = page(await warehouse.rows("executions", query), limit, "executed_at", "fill_id")
    return ExecutionsResponse(executions=[Execution(**row) for row in rows], next=place)


@router.get("/decisions")
async def decisions(
    warehouse: WarehouseDep,
    frames: FramesDep,
    strategy: StrategyOf = None,
    account: AccountOf = None,
    symbol: SymbolOf = "",
    start: From = None,
    end: To = None,
    after: After = "",
    limit: Limit = 100,
) -> DecisionsResponse:
    """Decisions from the newest to the oldest."""
    query = await query_of(frames, strategy, account, symbol, time_range(start, end), after, limit)
    rows, place = page(await warehouse.rows("decisions", query), limit, "decided_at", "decision_id")
    return DecisionsResponse(decisions=[Decision(**row) for row in rows], next=place)


async def query_of(
    frames: NewestFrames,
    strategy: str | None,
    account: str | None,
    symbol: str,
    times: tuple[datetime, datetime],
    after: str,
    limit: int,
) -> dict[str, Any]:
    """The parameters of a list: one row more than `limit`, by which it is known whether there is another page."""
    strategy_id, _ = await resolve_strategy(frames, strategy or "")
    place = Place.parse(after)
    return {
        "strategy_id": strategy_id,
        "any_strategy": int(not strategy),
        "account": account or "",
        "any_account": int(not account),
        "symbol": symbol,
        "since": times[0],
        "until": times[1],
        "before_at": place.at,
        "before_id": place.identity,
        "limit": limit + 1,
    }
