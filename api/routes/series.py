"""GET series: stored metrics of one scope and window over time, on one axis."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from api.deps import FramesDep, WarehouseDep
from api.errors import ApiError
from api.frames import Scope
from api.models import MetricSeries, Series, SeriesResponse, Window
from api.scopes import resolve_strategy
from api.series import MAXIMUM_METRICS, MAXIMUM_POINTS, Axis, Downsample, axis_of, export_series, read_series
from api.times import Moment, utc

router = APIRouter(tags=["quant"])

# What a client may accept, and the warehouse's name of it.
_FORMATS = {
    "text/csv": ("CSVWithNames", "text/csv; charset=utf-8"),
    "application/vnd.apache.arrow.stream": ("ArrowStream", "application/vnd.apache.arrow.stream"),
}
_DEFAULT_LENGTH = timedelta(days=1)


@router.get(
    "/series",
    response_model=SeriesResponse,
    responses={200: {"content": {media: {} for media in ("application/json", *_FORMATS)}}},
)
async def series(
    warehouse: WarehouseDep,
    frames: FramesDep,
    metrics: Annotated[
        str, Query(max_length=2000, description=f"Names of metrics with commas between, at most {MAXIMUM_METRICS}.")
    ],
    strategy_id: Annotated[
        str, Query(max_length=255, description="Id or unique name of a strategy. Empty: the whole account.")
    ] = "",
    account: Annotated[str, Query(max_length=64, description="Account label. Empty: all accounts.")] = "",
    window: Annotated[Window, Query(description="Window of the metrics.")] = "1d",
    start: Annotated[
        Moment | None, Query(alias="from", description="First moment (ISO 8601). Default: a day before `to`.")
    ] = None,
    end: Annotated[Moment | None, Query(alias="to", description="Last moment. Default: now.")] = None,
    step: Annotated[
        int | None,
        Query(ge=1, le=86_400, description="Seconds from moment to moment. Default: as `max_points` allows."),
    ] = None,
    max_points: Annotated[int, Query(ge=10, le=MAXIMUM_POINTS, description="How many moments at most.")] = 1000,
    downsample: Annotated[
        Downsample,
        Query(
            description="`last`: every `step` the last value; `lttb`, `minmax`: the moments that keep the shape, or the"
            " extremes, of every metric."
        ),
    ] = "last",
    previous: Annotated[bool, Query(description="Also the period of the same length before.")] = False,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> SeriesResponse | Response:
    """Metrics over time. A moment without a value, and one at which nothing was computed, is null.

    JSON by columns; CSV (`Accept: text/csv`) and Arrow (`application/vnd.apache.arrow.stream`) without qualities.
    """
    now = datetime.now(UTC)
    last = min(utc(end), now) if end else now
    first = utc(start) if start else last - _DEFAULT_LENGTH
    if first >= last:
        raise ApiError(400, "from: does not lie before `to`, or lies in the future.", "Give an earlier one.")
    definitions = {row["metric_name"]: row for row in await frames.definitions()}
    names = _names(metrics, list(definitions))
    strategy, name = await resolve_strategy(frames, strategy_id)
    scope = Scope(strategy, account, window)
    axis = axis_of(await frames.levels(), now, first, last, step, max_points, downsample)
    for media, (output_format, content_type) in _FORMATS.items():
        if media in accept:
            return Response(await export_series(warehouse, scope, names, axis, output_format), media_type=content_type)

    async def of(one: Axis) -> Series:
        times, found = await read_series(warehouse, scope, names, one)
        return Series.model_validate(
            {
                "strategy_id": strategy,
                "strategy_name": name,
                "account": account,
                "window": window,
                "start": one.start,
                "end": one.end,
                "resolution": one.resolution,
                "step_seconds": one.step_seconds if downsample == "last" else None,
                "times": times,
                "metrics": {
                    metric: MetricSeries(unit=definitions[metric]["unit"], values=values, quality=quality)
                    for metric, (values, quality) in found.items()
                },
            }
        )

    return SeriesResponse(series=await of(axis), previous=await of(axis.before()) if previous else None)


def _names(metrics: str, known: list[str]) -> list[str]:
    """The names that `metrics` lists, each once."""
    names = list(dict.fromkeys(part.strip() for part in metrics.split(",") if part.strip()))
    if not names or len(names) > MAXIMUM_METRICS:
        raise ApiError(400, f"metrics: name one to {MAXIMUM_METRICS} metrics.", f"Known: {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise ApiError(400, f"metrics: there is no metric {name!r}.", f"Known: {', '.join(known)}.")
    return names
