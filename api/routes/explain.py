"""GET metrics and explain: what a metric is, and what its value of a moment is made of."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import FramesDep, WarehouseDep
from api.errors import ApiError
from api.frames import Scope, metric_of
from api.models import EquityPoint, Execution, ExplainResponse, MetricDefinition, MetricsResponse, Order, Window
from api.pages import page
from api.past import past_frame
from api.routes.trading import After, Limit, query_of
from api.scopes import resolve_strategy
from api.times import Moment, utc

router = APIRouter(tags=["quant"])

# What the metrics of a group are made of; those of the pipeline are explained by their meta alone.
_MADE_OF = {"performance": "executions", "trades": "executions", "exposure": "executions", "execution": "orders"}


@router.get("/metrics")
async def metrics(frames: FramesDep) -> MetricsResponse:
    """The dictionary: every metric with its definition."""
    return MetricsResponse(metrics=[MetricDefinition(**row) for row in await frames.definitions()])


@router.get("/explain")
async def explain(
    warehouse: WarehouseDep,
    frames: FramesDep,
    metric: Annotated[str, Query(max_length=64, description="Name of the metric.")],
    strategy_id: Annotated[str, Query(max_length=255, description="As in `snapshot`.")] = "",
    account: Annotated[str, Query(max_length=64, description="As in `snapshot`.")] = "",
    window: Annotated[Window, Query(description="As in `snapshot`.")] = "1d",
    as_of: Annotated[Moment | None, Query(description="As in `snapshot`.")] = None,
    after: After = "",
    limit: Limit = 100,
) -> ExplainResponse:
    """A metric with its definition and the fills, orders or equity points of its window, the newest first.

    Profit, trades and exposure come from fills, execution from orders, risk from the equity of the account.
    """
    definitions = {row["metric_name"]: row for row in await frames.definitions()}
    if metric not in definitions:
        raise ApiError(404, f"metric: there is no metric {metric!r}.", f"Known: {', '.join(definitions)}.")
    definition = MetricDefinition(**definitions[metric])
    strategy, _ = await resolve_strategy(frames, strategy_id)
    scope = Scope(strategy, account, window)
    seconds = 0.0
    if as_of is None:
        rows, seconds = await frames.frame(scope)
    else:
        now = datetime.now(UTC)
        if utc(as_of) > now:
            raise ApiError(400, "as_of: lies in the future.", f"It is {now.isoformat(timespec='seconds')} now.")
        rows = await past_frame(warehouse, scope, utc(as_of), now)
    row = next((row for row in rows if row["metric_name"] == metric), None)
    if row is None:
        raise ApiError(404, "There is no such frame.", "GET snapshot with the same scope says why.")
    found = metric_of(row, seconds)
    answer = ExplainResponse(metric=found, definition=definition)
    times = (utc(found.window_start), utc(found.window_end))
    query = await query_of(frames, strategy, account, "", times, after, limit)
    kind = _MADE_OF.get(definition.metric_group)
    if kind == "executions":
        shown, answer.next = page(await warehouse.rows("executions", query), limit, "executed_at", "fill_id")
        answer.executions = [Execution(**one) for one in shown]
    elif kind == "orders":
        shown, answer.next = page(await warehouse.rows("orders", query), limit, "submitted_at", "order_id")
        answer.orders = [Order(**one) for one in shown]
    elif definition.metric_group == "risk":
        shown, answer.next = page(await warehouse.rows("equity_points", query), limit, "at", "id")
        answer.equity = [EquityPoint(**one) for one in shown]
    return answer
