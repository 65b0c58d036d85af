"""Replay: stored frames against the same frames recomputed."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestration.replay.scope import Scope
from orchestration.transform.on_demand import FRAME_SETTINGS, frames_query, moment_of_frame, sql_moment

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_KEY = ("strategy_id", "account", "window", "metric_name")
_COMPARED = ("value", "status", "reason", "quality", "sample_count", "window_start", "window_end")
_CURRENT = (
    "(metric_name, formula_version) in (select metric_name, toString(formula_version) from quant.metric_definitions)"
)
# Frames of the first seconds were computed before the hours of symbols and the positions of accounts were there: of 24
# moments of the first quarter of an hour, the one 5 s behind the start differed in 1,065 rows, no other in any.
_WARM_UP = timedelta(minutes=3)

# One moment is compared.
OnMoment = Callable[[], None]
_Frame = dict[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True)
class Sample:
    """Which stored frames to recompute: some of those from `start` on and before `end`."""

    scope: Scope
    start: datetime
    end: datetime
    size: int
    seed: int


@dataclass(frozen=True)
class Difference:
    """A stored row that is not what its formulas give; `recomputed` is None when they give no such row."""

    key: tuple[str, ...]
    as_of: datetime
    known_at: datetime
    stored: dict[str, Any]
    recomputed: dict[str, Any] | None

    @property
    def columns(self) -> list[str]:
        """The columns that differ."""
        return differing(self.stored, self.recomputed)


@dataclass
class Verification:
    """What was compared, and what differed."""

    available: int
    of_other_formulas: int
    moments: int = 0
    rows: int = 0
    differences: list[Difference] = field(default_factory=list)


def behind_start(client: Client, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Leave out the first minutes of a warehouse: its ticks begin while the sums of the history are still being made.

    What was recomputed of moments before them is looked at while there is nothing newer.
    """
    rows = client.query("select min(as_of) from quant.known_state having count() > 0").result_rows
    if not rows:
        return start, end
    began: datetime = rows[0][0]
    if began + _WARM_UP < end:
        return max(start, began + _WARM_UP), end
    return start, min(end, began)


def count_moments(client: Client, sample: Sample) -> tuple[int, int]:
    """How many moments of the range can be compared, and how many rows stem from other versions of their formulas."""
    moments, others = client.query(
        f"select uniqExactIf(as_of, {_CURRENT}), countIf(not {_CURRENT})"
        f" from quant.quant_metrics_series where {_range(sample)}",
        parameters=_parameters(sample),
    ).result_rows[0]
    return moments, others


def verify(client: Client, sample: Sample, on_moment: OnMoment) -> Verification:
    """Recompute a random sample of stored moments and compare every row that is stored for exactly these."""
    found = Verification(*count_moments(client, sample))
    chosen = client.query(
        f"select as_of from quant.quant_metrics_series where {_range(sample)} and {_CURRENT}"
        " group by as_of order by cityHash64(as_of, {seed:UInt64}), as_of limit {size:UInt64}",
        parameters={**_parameters(sample), "seed": sample.seed, "size": sample.size},
    ).result_rows
    for (as_of,) in chosen:
        for known_at, stored in _stored(client, sample.scope, as_of).items():
            recomputed = _recomputed(client, sample.scope, as_of, known_at)
            found.moments += 1
            found.rows += len(stored)
            found.differences += [
                Difference(key, as_of, known_at, row, recomputed.get(key))
                for key, row in sorted(stored.items())
                if differing(row, recomputed.get(key))
            ]
        on_moment()
    return found


def differing(stored: dict[str, Any], recomputed: dict[str, Any] | None) -> list[str]:
    """The compared columns in which two rows differ: numbers by their bits, as they are computed in the same way."""
    if recomputed is None:
        return list(_COMPARED)
    return [name for name in _COMPARED if _bits(stored[name]) != _bits(recomputed[name])]


def _bits(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else value


def _stored(client: Client, scope: Scope, as_of: datetime) -> dict[datetime, _Frame]:
    """The stored rows of a moment, by what they knew."""
    result = client.query(
        f"select {', '.join(_KEY)}, {', '.join(_COMPARED)}, known_at from quant.quant_metrics_series final"
        f" where as_of = {{as_of:String}} and {scope.condition} and {_CURRENT}",
        parameters={**scope.parameters, "as_of": sql_moment(as_of)},
    )
    frames: dict[datetime, _Frame] = defaultdict(dict)
    for row in result.named_results():
        frames[row["known_at"]][_key(row)] = row
    return frames


def _recomputed(client: Client, scope: Scope, as_of: datetime, known_at: datetime) -> _Frame:
    frames = frames_query(client, as_of, known_at, scope.account)
    result = client.query(
        f"select {', '.join(_KEY)}, {', '.join(_COMPARED)} from ({frames}) where {scope.condition}",
        parameters={**scope.parameters, **moment_of_frame(as_of, known_at, scope.account)},
        settings=FRAME_SETTINGS,
    )
    return {_key(row): row for row in result.named_results()}


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in _KEY)


def _range(sample: Sample) -> str:
    return f"as_of >= {{start:String}} and as_of < {{end:String}} and {sample.scope.condition}"


def _parameters(sample: Sample) -> dict[str, Any]:
    return {**sample.scope.parameters, "start": sql_moment(sample.start), "end": sql_moment(sample.end)}
