"""Snapshots as text: made once per frame, so that telling one again costs no more than writing its ages into it."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any

from api.alerts import alert_of, concerns
from api.frames import SCOPES, NewestFrames, Scope, metric_of
from api.models import Alert, Frame, SnapshotResponse
from api.quality import worst

# Stand where an age belongs. No age is negative.
_FRESHNESS, _FRAME_AGE = -1234567.125, -7654321.125


class Rendered:
    """The body of a snapshot in pieces, between which its ages belong."""

    def __init__(self, body: SnapshotResponse) -> None:
        frame = body.frame
        self._as_of = frame.as_of
        aging = [metric for metric in frame.metrics if metric.freshness_seconds is not None]
        self._ages = [metric.freshness_seconds or 0.0 for metric in aging]
        for metric in aging:
            metric.freshness_seconds = _FRESHNESS
        frame.frame_age_seconds = _FRAME_AGE
        text = body.model_dump_json()
        self._head, rest = text.split(str(_FRAME_AGE))
        self._pieces = rest.split(str(_FRESHNESS))
        # Weak, since ages go on: everything else decides.
        self.tag = f'W/"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'

    @property
    def age(self) -> float:
        """Seconds since the moment of the frame."""
        return max(0.0, (datetime.now(UTC) - self._as_of).total_seconds())

    def text(self, seconds: float, age: float) -> str:
        """The body, some seconds after its rows were read; `age` is that of the frame."""
        first, *others = self._pieces
        aged = [f"{known + seconds:.3f}{piece}" for known, piece in zip(self._ages, others, strict=True)]
        return f"{self._head}{age:.3f}{first}{''.join(aged)}"


class Snapshots:
    """The newest snapshot of each scope that somebody asked for."""

    def __init__(self, frames: NewestFrames) -> None:
        self._frames = frames
        self._rendered: OrderedDict[Scope, tuple[object, object, Rendered]] = OrderedDict()

    async def newest(self, scope: Scope, strategy_name: str) -> tuple[Rendered, float] | None:
        """The snapshot of a scope and the seconds since its rows were read; None when it has no frame.

        Raises:
            WarehouseUnavailable: the warehouse cannot be reached, or the query failed there.
        """
        (rows, seconds), alerts = await asyncio.gather(self._frames.frame(scope), self._frames.alerts())
        if not rows:
            return None
        of_rows, of_alerts, rendered = self._rendered.get(scope, (None, None, None))
        if rendered is None or of_rows is not rows or of_alerts is not alerts:
            rendered = Rendered(body_of(scope, strategy_name, rows, list(map(alert_of, alerts))))
            self._rendered[scope] = (rows, alerts, rendered)
        self._rendered.move_to_end(scope)
        while len(self._rendered) > SCOPES:
            self._rendered.popitem(last=False)
        return rendered, seconds


def body_of(scope: Scope, name: str, rows: list[dict[str, Any]], alerts: list[Alert]) -> SnapshotResponse:
    """The snapshot of a scope from the rows of its frame, and those of some alerts that concern it."""
    metrics = [metric_of(row, 0) for row in rows]
    return SnapshotResponse(
        frame=Frame(
            strategy_id=scope.strategy_id,
            strategy_name=name,
            account=scope.account,
            window=scope.window,
            as_of=max(metric.as_of for metric in metrics),
            frame_age_seconds=0,
            quality=worst(metric.quality for metric in metrics if metric.status == "ok"),
            metrics=metrics,
            alerts=[alert for alert in alerts if concerns(alert, scope)],
        )
    )
