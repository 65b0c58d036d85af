"""Stored metrics over time: which moments to show, and the query that puts every metric on them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Literal

from api.errors import ApiError
from api.frames import Scope
from api.warehouse import Warehouse

Downsample = Literal["last", "lttb", "minmax"]
Level = dict[str, Any]

# Steps that people read easily, in seconds.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)
MAXIMUM_POINTS = 20_000
MAXIMUM_METRICS = 20

_ROWS = (
    "select metric_name, as_of, value, quality from quant.api_metric_series"
    " where strategy_id = {strategy_id:String} and account = {account:String} and window = {window:String}"
    " and metric_name in {metrics:Array(String)}"
    " and as_of > {start:DateTime64(3)} - toIntervalSecond({pause:UInt32}) and as_of <= {end:DateTime64(3)}"
)
# At every moment of the grid, in the middle of nothing too.
_REGULAR = (
    "select fromUnixTimestamp64Milli(arrayJoin(range({first:Int64}, {last:Int64} + 1, {step_ms:Int64})), 'UTC') as at"
)
# The moments that carry the shape of each metric; all metrics are shown at all of them.
_SHAPED = (
    "select distinct at from (select arrayJoin(largestTriangleThreeBuckets({each:UInt32})(as_of, value)).1 as at"
    " from rows where value is not null and as_of >= {start:DateTime64(3)} group by metric_name)"
)
_EXTREMES = (
    "select distinct at from (select arrayJoin([argMin(as_of, value), argMax(as_of, value)]) as at from rows"
    " where value is not null and as_of >= {start:DateTime64(3)}"
    " group by metric_name, intDiv(toUnixTimestamp64Milli(as_of), {bucket_ms:Int64}))"
)
# What was last said, unless nothing was said for longer than the series is ever silent.
_ALIGNED = (
    "select grid.metric_name as metric, grid.at as moment,"
    " rows.as_of > grid.at - toIntervalSecond({pause:UInt32}) as is_known,"
    " if(is_known, rows.value, null) as shown, if(is_known, rows.quality, '') as how_good"
    " from (select metric_name, at from (select arrayJoin({metrics:Array(String)}) as metric_name) as names"
    " cross join times) as grid"
    " asof left join rows on grid.metric_name = rows.metric_name and grid.at >= rows.as_of"
)


@dataclass(frozen=True)
class Axis:
    """The moments to show: from `start` to `end`, `step_seconds` apart, or those that `downsample` picks.

    `pause_seconds` is how old a row may be that still counts.
    """

    start: datetime
    end: datetime
    resolution: str
    step_seconds: int
    pause_seconds: int
    downsample: Downsample
    points: int

    def before(self) -> "Axis":
        """The axis of the period of the same length before."""
        length = self.end - self.start
        return Axis(**{**self.__dict__, "start": self.start - length, "end": self.start})

    def parameters(self, scope: Scope, metrics: list[str]) -> dict[str, Any]:
        """The parameters of the queries."""
        step_ms = self.step_seconds * 1000
        # On whole steps, so that an axis that moves on shows the same moments again.
        first = -(-_milliseconds(self.start) // step_ms) * step_ms
        # Two moments of a bucket, of each metric.
        bucket = (self.end - self.start) * 2 * len(metrics) / self.points
        return {
            **scope._asdict(),
            "metrics": metrics,
            "start": self.start,
            "end": self.end,
            "pause": self.pause_seconds,
            "first": first,
            "last": _milliseconds(self.end),
            "step_ms": step_ms,
            "each": max(3, self.points // len(metrics)),
            "bucket_ms": max(1, ceil(bucket / timedelta(milliseconds=1))),
        }


def level_of(levels: list[Level], now: datetime, moment: datetime, parameter: str) -> Level:
    """How finely the series still keeps a moment.

    Raises:
        ApiError: not at all; the message names the parameter.
    """
    age = (now - moment).total_seconds()
    level = next((level for level in levels if age <= level["kept_seconds"]), None)
    if level is None:
        oldest = (now - timedelta(seconds=levels[-1]["kept_seconds"])).isoformat(timespec="seconds")
        raise ApiError(400, f"{parameter}: the series begins at {oldest}.", "Give a later one.")
    return level


def axis_of(
    levels: list[Level], now: datetime, start: datetime, end: datetime, step: int | None, points: int, pick: Downsample
) -> Axis:
    """The axis from `start` to `end`: as fine as asked for, as the series is kept, and as `points` allow.

    Raises:
        ApiError: `step` would give more than `MAXIMUM_POINTS` moments, or the series keeps nothing so old.
    """
    level = level_of(levels, now, start, "from")
    seconds = (end - start).total_seconds()
    if step is not None and seconds / step > MAXIMUM_POINTS:
        raise ApiError(
            400,
            f"step: {step} seconds would give {ceil(seconds / step):,} moments, at most {MAXIMUM_POINTS:,} are served.",
            "Give a larger step, or a shorter time.",
        )
    wanted = step or next((one for one in _STEPS if seconds / one <= points), _STEPS[-1])
    step = max(wanted, level["step_seconds"])
    return Axis(start, end, level["resolution"], step, max(step, level["longest_pause_seconds"]), pick, points)


async def read_series(
    warehouse: Warehouse, scope: Scope, metrics: list[str], axis: Axis
) -> tuple[list[datetime], dict[str, tuple[list[float | None], list[str]]]]:
    """The moments of an axis, and each metric's values and qualities at them.

    Raises:
        WarehouseUnavailable: the warehouse cannot be reached, or the query failed there.
    """
    sql = (
        f"{_with(axis)} select metric, groupArray(moment), groupArray(tuple(shown)), groupArray(how_good)"
        f" from ({_ALIGNED} order by metric, moment) group by metric"
    )
    found = await warehouse.columns(sql, axis.parameters(scope, metrics))
    if not found or not found[0]:
        return [], {name: ([], []) for name in metrics}
    by_name = {
        name: ([value for (value,) in values], list(quality)) for name, _, values, quality in zip(*found, strict=True)
    }
    return list(found[1][0]), {name: by_name[name] for name in metrics}


async def export_series(
    warehouse: Warehouse, scope: Scope, metrics: list[str], axis: Axis, output_format: str
) -> bytes:
    """The same as a table in a format of the warehouse: column `time`, and one per metric by its name.

    Raises:
        WarehouseUnavailable: the warehouse cannot be reached, or the query failed there.
    """
    columns = ", ".join(f"anyIf(shown, metric = {{metric_{n}:String}}) as `{name}`" for n, name in enumerate(metrics))
    sql = f"{_with(axis)} select moment as time, {columns} from ({_ALIGNED}) group by moment order by moment"
    names = {f"metric_{n}": name for n, name in enumerate(metrics)}
    return await warehouse.raw(sql, {**axis.parameters(scope, metrics), **names}, output_format)


def _with(axis: Axis) -> str:
    times = {"last": _REGULAR, "lttb": _SHAPED, "minmax": _EXTREMES}[axis.downsample]
    return f"with rows as ({_ROWS}), times as ({times})"


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
