"""GET /metrics: the state of the pipeline for Prometheus, read from the warehouse at each scrape."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.deps import HubDep, WarehouseDep
from api.errors import WarehouseUnavailable
from api.observe import Latencies

router = APIRouter(tags=["service"])

# As in docs/mirror.md: a series for each, so that an alert can ask for one that a mirror has never been in.
MIRROR_STATES = ("starting", "snapshotting", "leader", "streaming", "follower", "stalled", "stopped")

Rows = list[dict[str, Any]]


@router.get("/metrics", response_class=Response)
async def metrics(request: Request, warehouse: WarehouseDep, hub: HubDep) -> Response:
    """Mirrors, stages, alerts, streams and requests. Without the warehouse `jangar_quant_warehouse_up` is 0."""
    mirrors: Rows | None
    stages: Rows
    alerts: Rows
    notifications: Rows
    try:
        mirrors, stages = await warehouse.rows("mirrors"), await warehouse.rows("pipeline_health")
        alerts, notifications = await warehouse.rows("active_alerts"), await warehouse.rows("notifications")
    except WarehouseUnavailable:
        mirrors, stages, alerts, notifications = None, [], [], []
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(mirrors, stages, alerts, notifications))
    streams = Gauge("jangar_quant_stream_listeners", "Streams that are open.", registry=registry)
    streams.set(hub.listeners)
    latencies = cast(Latencies, request.app.state.latencies)
    text = generate_latest(registry) + generate_latest(latencies.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


class _Scrape(Collector):
    """What one scrape found. `mirrors` is None when the warehouse did not answer."""

    def __init__(self, mirrors: Rows | None, stages: Rows, alerts: Rows, notifications: Rows) -> None:
        self._is_up = mirrors is not None
        self._mirrors = mirrors or []
        self._stages = stages
        self._notifications = notifications
        self._alerts = Counter((alert["policy_id"], alert["severity"]) for alert in alerts)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield _gauge("warehouse_up", "1 when the warehouse answers.", (), [((), float(self._is_up))])
        if not self._is_up:
            return
        yield _gauge(
            "mirror_state",
            "1 for the state that the mirror of a slot reports.",
            ("slot", "state"),
            [((m["slot"], state), float(m["state"] == state)) for m in self._mirrors for state in MIRROR_STATES],
        )
        for name, help_text, value in (
            ("mirror_lag_bytes", "WAL of the source that is not in the warehouse yet.", lambda m: m["lag_bytes"]),
            ("mirror_report_age_seconds", "Seconds since the mirror reported.", lambda m: _age(m["reported_at"])),
            ("mirror_complete_age_seconds", "Seconds since what is complete.", lambda m: _age(m["watermark"])),
            ("mirror_lossy_values", "Values that the copy could not hold, ever.", lambda m: m["lossy_values"]),
        ):
            found = [((m["slot"],), value(m)) for m in self._mirrors]
            yield _gauge(name, help_text, ("slot",), found)
        yield _gauge(
            "alerts_active",
            "Alerts that are not resolved; none has no series.",
            ("policy", "severity"),
            self._alerts.items(),
        )
        yield _gauge(
            "notifications_last_day",
            "Alerts that a channel was told about, or did not take, in the last 24 hours.",
            ("channel", "outcome"),
            [((n["channel"], n["outcome"]), n["alerts"]) for n in self._notifications],
        )
        yield _gauge(
            "stage_lag_seconds",
            "Age of what a stage has processed.",
            ("stage",),
            [((s["stage"],), s["lag_seconds"]) for s in self._stages],
        )
        yield _gauge(
            "stage_failing",
            "1 when a stage fails; the health endpoint tells with what.",
            ("stage",),
            [((s["stage"],), float(bool(s["error"]))) for s in self._stages],
        )
        yield _gauge(
            "stage_quarantined_rows",
            "Rows of the source that a stage could not use in full, ever.",
            ("stage",),
            [((s["stage"],), s["quarantined_rows"]) for s in self._stages],
        )


def _gauge(
    name: str, help_text: str, labels: tuple[str, ...], samples: Iterable[tuple[tuple[str, ...], float | None]]
) -> GaugeMetricFamily:
    """Build a gauge; what is not known has no sample."""
    family = GaugeMetricFamily(f"jangar_quant_{name}", help_text, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(values, float(value))
    return family


def _age(moment: datetime | None) -> float | None:
    return None if moment is None else (datetime.now(UTC) - moment.astimezone(UTC)).total_seconds()
