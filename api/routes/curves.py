"""GET trends and equity: profit of everything side by side, and the curve of one scope."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query

from api.deps import FramesDep, ReadsDep
from api.pages import time_range
from api.reads import Span
from api.scopes import resolve_strategy
from api.times import Moment, utc
from api.view_models import EquityCurveResponse, Trend, TrendsResponse

router = APIRouter(tags=["dashboards"])

From = Annotated[Moment | None, Query(alias="from", description="First moment. Default: a day before `to`.")]
To = Annotated[Moment | None, Query(alias="to", description="Last moment. Default: now.")]
# What seconds a grid of the clock may be apart; the facts below it are by minute.
_STEPS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
_LONGEST = timedelta(days=62)


@router.get("/trends")
async def trends(
    reads: ReadsDep,
    start: From = None,
    end: To = None,
    max_points: Annotated[int, Query(ge=10, le=200, description="How many moments at most.")] = 48,
) -> TrendsResponse:
    """The profit of every strategy and the equity of every account over time, on one axis of at most two months."""
    span = span_of(start, end, max_points)
    rows = await reads.trends.get(span)
    times = list(range(span.first, span.until + span.step, span.step))
    found: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows:
        values = found.setdefault((row["strategy_id"], row["account"]), {})
        at = round(utc(row["point_at"]).timestamp())
        # A step ends with its last value; the first one begins with its first.
        values.setdefault(at, row["first_profit"])
        values[at + span.step] = row["profit"]
    return TrendsResponse(
        step_seconds=span.step,
        times=[datetime.fromtimestamp(min(at, span.until), UTC) for at in times],
        trends=[
            Trend(strategy_id=strategy, account=account, values=_carried(times, values))
            for (strategy, account), values in found.items()
        ],
    )


@router.get("/equity")
async def equity(
    reads: ReadsDep,
    frames: FramesDep,
    strategy_id: Annotated[str, Query(max_length=255, description="As in `snapshot`.")] = "",
    account: Annotated[str, Query(max_length=64, description="As in `snapshot`.")] = "",
    start: From = None,
    end: To = None,
    max_points: Annotated[int, Query(ge=10, le=5000, description="How many moments at most.")] = 1500,
) -> EquityCurveResponse:
    """Equity, profit, growth and drawdown of a scope over at most two months, beside the accounts' benchmark."""
    strategy, _ = await resolve_strategy(frames, strategy_id)
    span = span_of(start, end, max_points)
    rows: list[dict[str, Any]] = await reads.equity.get((strategy, account, span))
    return EquityCurveResponse(
        strategy_id=strategy,
        account=account,
        step_seconds=span.step,
        benchmark=rows[0]["benchmark"] if rows else "",
        times=[row["at"] for row in rows],
        equity=[row["equity"] for row in rows],
        pnl=[row["pnl"] for row in rows],
        cumulative_return=[row["cumulative_return"] for row in rows],
        drawdown=[row["drawdown"] for row in rows],
        benchmark_return=[row["benchmark_return"] for row in rows],
    )


def span_of(start: datetime | None, end: datetime | None, points: int) -> Span:
    """A time on whole steps, so that those who ask within one share the answer.

    Raises:
        ApiError: the first moment does not lie before the last.
    """
    first, last = time_range(start, end)
    first = max(first, last - _LONGEST)
    seconds = (last - first).total_seconds()
    step = next((step for step in _STEPS if seconds / step <= points), _STEPS[-1])
    begin, until = (round(moment.timestamp()) // step * step for moment in (first, last))
    return Span(begin, until, step, round(last.timestamp()) // 15 * 15)


def _carried(times: list[int], values: dict[int, float]) -> list[float | None]:
    carried: list[float | None] = []
    for at in times:
        carried.append(values.get(at, carried[-1] if carried else None))
    return carried
