"""What changed since the last look, kept once per scope, for everyone who listens.

A listener has no queue: it remembers how far it was told, and asks for what is newer. So one that stalls costs nothing,
is told the newest value of a metric and none between, and no alert is left out. State comes from the warehouse alone: a
listener that comes back to another process is told the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from api.alerts import alert_of, concerns
from api.errors import WarehouseUnavailable
from api.frames import NewestFrames, Scope, metric_of
from api.models import Alert
from api.stream.cursor import TIERS, Cursor
from api.warehouse import Warehouse
from orchestration.logs import redact

logger = logging.getLogger(__name__)

# A tick of the light tier takes a second or more; looking costs 5 ms of the warehouse.
POLL_SECONDS = 0.25
# What the warehouse tells of an alert may be that much older than the moment at which it tells it.
ALERT_MARGIN = timedelta(minutes=2)
# Who is further behind comes back and reads them from the warehouse.
ALERTS_KEPT = 10_000


@dataclass
class _Metric:
    """The newest row of a metric: when it last changed, by which number of the hub that was seen, and its JSON."""

    changed_at: datetime
    number: int
    text: str


@dataclass
class _Frame:
    """A scope that somebody listens to."""

    listeners: int = 0
    is_loaded: bool = False
    as_of: datetime | None = None
    metrics: dict[str, _Metric] = field(default_factory=dict)
    # The JSON of what is newer than a number: listeners that keep up all ask for the same.
    newer: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AlertEvent:
    """An alert that opened or ended, in the order in which that was seen."""

    number: int
    name: str
    alert: Alert


class Hub:
    """Reads what listeners want, while there are any."""

    def __init__(self, warehouse: Warehouse, frames: NewestFrames) -> None:
        self._warehouse = warehouse
        self._newest = frames
        self._frames: dict[Scope, _Frame] = {}
        self._alerts: deque[AlertEvent] = deque(maxlen=ALERTS_KEPT)
        self._alert_number = 0
        self._told_alerts: dict[tuple[str, str], datetime] = {}
        self._number = 0
        self._cursor = Cursor()
        self._moment: datetime | None = None
        self._transitions_seen = 0
        self._changed = asyncio.Condition()
        self._looking = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.listeners = 0
        self.is_ending = False

    @contextlib.asynccontextmanager
    async def listening(self, scopes: Iterable[Scope]) -> AsyncIterator[None]:
        """Keep these scopes read meanwhile.

        Raises:
            WarehouseUnavailable: their frames cannot be read.
        """
        scopes = list(scopes)
        self._loop = asyncio.get_running_loop()
        self.listeners += 1
        for scope in scopes:
            self._frames.setdefault(scope, _Frame()).listeners += 1
        try:
            if self._reader is None or self._reader.done():
                # Else the first events would have an id from which nothing can go on.
                await self._look()
                self._reader = asyncio.create_task(self._read_on())
            missing = [scope for scope in scopes if not self._frames[scope].is_loaded]
            if missing:
                # All at once: a dashboard has a scope per row, and one by one they took as many queries.
                self._take(await self._changes(missing, Cursor()))
                for scope in missing:
                    self._frames[scope].is_loaded = True
            yield
        finally:
            self.listeners -= 1
            for scope in scopes:
                frame = self._frames[scope]
                frame.listeners -= 1
                if frame.listeners == 0:
                    del self._frames[scope]

    @property
    def number(self) -> int:
        """Number of the last change of a metric."""
        return self._number

    @property
    def alert_number(self) -> int:
        """Number of the last alert that opened or ended."""
        return self._alert_number

    @property
    def cursor(self) -> Cursor:
        """How far the warehouse was read."""
        return self._cursor

    async def wait(self, number: int, alert_number: int, seconds: float) -> bool:
        """Wait until there is something newer, at most that long; returns whether there is."""

        def is_newer() -> bool:
            return self.is_ending or self._number > number or self._alert_number > alert_number

        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(is_newer)
            except TimeoutError:
                return False
        return True

    def frame(self, scope: Scope, number: int) -> str | None:
        """The metrics of a scope that changed after a number, as the JSON of an event; None without any."""
        frame = self._frames[scope]
        text = frame.newer.get(number)
        if text is None:
            text = frame.newer[number] = _event(scope, frame, [m for m in frame.metrics.values() if m.number > number])
        return text or None

    def frame_since(self, scope: Scope, cursor: Cursor, tiers: dict[str, str]) -> str | None:
        """The metrics of a scope that changed after what a listener was told in an earlier connection."""
        frame = self._frames[scope]
        newer = [m for name, m in frame.metrics.items() if m.changed_at > cursor.of(tiers[name])]
        return _event(scope, frame, newer) or None

    def alerts(self, number: int, scopes: list[Scope] | None) -> list[AlertEvent] | None:
        """Alerts of these scopes (None: all) behind a number; None when some of them are not kept any more."""
        missing = self._alert_number - number
        if missing > len(self._alerts):
            return None
        return _of(islice(self._alerts, len(self._alerts) - missing, None), scopes)

    async def alerts_since(self, moment: datetime, scopes: list[Scope] | None) -> list[AlertEvent]:
        """Alerts of these scopes (None: all) that opened or ended after a moment; some may come again."""
        rows = await self._transitions(moment - ALERT_MARGIN)
        return _of((AlertEvent(self._alert_number, name, alert) for name, alert in rows), scopes)

    async def tiers(self) -> dict[str, str]:
        """The tier of every metric."""
        return {row["metric_name"]: row["tier"] for row in await self._newest.definitions()}

    def end(self) -> None:
        """Let every listener go; safe in a signal handler."""
        self.is_ending = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._tell()))

    async def close(self) -> None:
        """Stop reading."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    async def _read_on(self) -> None:
        while self.listeners:
            try:
                await self._look()
            except WarehouseUnavailable as error:
                # Listeners see the age of what they have; the next look goes on from the same place.
                logger.warning("the stream cannot read the warehouse: %s", redact(str(error))[:500])
            except Exception:
                logger.exception("the stream cannot read the warehouse")
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        async with self._looking:
            await self._look_once()

    async def _look_once(self) -> None:
        seconds = round(ALERT_MARGIN.total_seconds())
        found = (await self._warehouse.rows("stream_moment", {"alert_seconds": seconds}))[0]
        # Of alerts apart: that no frame comes any more is told by one.
        moment, transitions = found["as_of"], found["transitions"]
        now = datetime.now(UTC)
        if transitions != self._transitions_seen:
            await self._look_at_alerts(now)
        if moment != self._moment:
            await self._look_at_metrics()
        self._cursor = replace(self._cursor, alerts=now)
        if (moment, transitions) != (self._moment, self._transitions_seen):
            self._moment, self._transitions_seen = moment, transitions
            await self._tell()

    async def _look_at_metrics(self) -> None:
        tiers = await self.tiers()
        rows = await self._changes(list(self._frames), self._cursor)
        self._take(rows)
        self._cursor = self._cursor.after((tiers[row["metric_name"]], row["changed_at"]) for row in rows)

    async def _changes(self, scopes: list[Scope], cursor: Cursor) -> list[dict[str, Any]]:
        """The metrics of scopes that changed behind a cursor."""
        tiers = await self.tiers()
        return await self._warehouse.rows(
            "changed_metrics",
            {
                "scopes": [tuple(scope) for scope in scopes],
                **{tier: [name for name, of in tiers.items() if of == tier] for tier in TIERS},
                **{f"{tier}_since": cursor.of(tier) for tier in TIERS},
            },
        )

    async def _look_at_alerts(self, now: datetime) -> None:
        for name, alert in await self._transitions(now - ALERT_MARGIN):
            key = (alert.alert_id, name)
            if key not in self._told_alerts:
                self._told_alerts[key] = alert.updated_at
                self._alert_number += 1
                self._alerts.append(AlertEvent(self._alert_number, name, alert))
        oldest = now - 2 * ALERT_MARGIN
        self._told_alerts = {key: at for key, at in self._told_alerts.items() if at > oldest}

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _take(self, rows: list[dict[str, Any]]) -> None:
        """Keep what is newer than what is there."""
        self._number += 1
        for row in rows:
            scope = Scope(row["strategy_id"], row["account"], row["window"])
            frame = self._frames.get(scope)
            if frame is None:
                continue
            known = frame.metrics.get(row["metric_name"])
            if known is not None and known.changed_at >= row["changed_at"]:
                continue
            text = metric_of(row, 0).model_dump_json()
            frame.metrics[row["metric_name"]] = _Metric(row["changed_at"], self._number, text)
            frame.as_of = max(frame.as_of or row["as_of"], row["as_of"])
        for frame in self._frames.values():
            frame.newer.clear()

    async def _transitions(self, since: datetime) -> list[tuple[str, Alert]]:
        rows = await self._warehouse.rows("alert_events", {"since": since})
        return [(row.pop("event"), alert_of(row)) for row in rows]


def _of(events: Iterable[AlertEvent], scopes: list[Scope] | None) -> list[AlertEvent]:
    """Those that concern one of the scopes; None: all."""
    return [event for event in events if scopes is None or any(concerns(event.alert, scope) for scope in scopes)]


def _event(scope: Scope, frame: _Frame, metrics: list[_Metric]) -> str:
    """The JSON of some metrics of a scope; empty without any."""
    if not metrics:
        return ""
    head = json.dumps({**scope._asdict(), "as_of": frame.as_of.isoformat() if frame.as_of else None})
    return f'{head[:-1]}, "metrics": [{", ".join(metric.text for metric in metrics)}]}}'
