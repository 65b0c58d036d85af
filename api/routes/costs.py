"""GET costs: what orders cost and how they ended, by symbol, side, hour, route and time."""

from typing import Annotated, get_args

from fastapi import APIRouter, Query

from api.deps import FramesDep, ReadsDep
from api.pages import time_range
from api.reads import CostsOf
from api.routes.curves import From, To
from api.scopes import resolve_strategy
from api.view_models import Costs, CostsResponse, Dimension, Distribution, RejectReason

router = APIRouter(tags=["dashboards"])

_BUCKETS = (60, 300, 900, 3600, 14400, 86400)
_DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


@router.get("/costs")
async def costs(
    reads: ReadsDep,
    frames: FramesDep,
    strategy_id: Annotated[str, Query(max_length=255, description="As in `snapshot`.")] = "",
    account: Annotated[str, Query(max_length=64, description="As in `snapshot`.")] = "",
    start: From = None,
    end: To = None,
    max_points: Annotated[int, Query(ge=10, le=500, description="How many buckets of time at most.")] = 100,
) -> CostsResponse:
    """The execution metrics of orders by symbol, side, hour (UTC), route and time, with the distributions of their
    costs and the reasons of rejects. An order counts once, by the last thing that happened to it.
    """
    strategy, _ = await resolve_strategy(frames, strategy_id)
    first, last = time_range(start, end)
    seconds = (last - first).total_seconds()
    bucket = next((bucket for bucket in _BUCKETS if seconds / bucket <= max_points), _BUCKETS[-1])
    # To quarters of a minute, so that those who ask at the same time share the answer.
    since, until = (round(moment.timestamp()) // 15 * 15 for moment in (first, last))
    found = await reads.costs.get(CostsOf(strategy, account, since, until, bucket))

    def of(dimension: str) -> list[Costs]:
        return [Costs(**row, name=row["part_name"]) for row in found["costs"] if row["dimension"] == dimension]

    return CostsResponse(
        bucket_seconds=bucket,
        total=next(iter(of("total")), None),
        by={dimension: of(dimension) for dimension in _DIMENSIONS},
        distributions=[
            Distribution(**row, p5=row["quantiles"][1], p50=row["quantiles"][2], p95=row["quantiles"][3])
            for row in found["distributions"]
        ],
        rejects=[RejectReason(**row) for row in found["rejects"]],
    )
