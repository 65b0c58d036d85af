"""A client of the API for Python programs.

from api.client import Client

with Client("http://127.0.0.1:8080") as quant:
    print(quant.snapshot(account="paper-crypto", window="1h").quality)
    table = quant.series(["net_pnl", "max_drawdown"], account="paper-crypto").to_pandas()
    for event in quant.stream(account="paper-crypto", window="1h"):
        print(event.name, event.data)
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import httpx
from httpx_sse import SSEError, connect_sse

from api.models import (
    ActionResponse,
    Alert,
    AlertsResponse,
    Execution,
    ExecutionsResponse,
    Frame,
    HealthResponse,
    MetricDefinition,
    MetricsResponse,
    Series,
    SeriesResponse,
    Silence,
    SilencesResponse,
    SnapshotResponse,
)

if TYPE_CHECKING:
    import pandas as pd

TRADING = "/api/torghut/trading"
QUANT = f"{TRADING}/control-plane/quant"
# A stream says at least every minute that it is alive.
_SILENCE_SECONDS = 90.0
_FIRST_PAUSE_SECONDS = 0.5
_LAST_PAUSE_SECONDS = 30.0
_REMEMBERED_ALERTS = 10_000


class ApiFailure(Exception):
    """The API refused a request, or failed. `status` is that of HTTP, `remedy` what to do about it."""

    def __init__(self, status: int, detail: str, remedy: str) -> None:
        super().__init__(f"{detail} {remedy}".strip())
        self.status = status
        self.detail = detail
        self.remedy = remedy


@dataclass(frozen=True)
class Event:
    """An event of the stream: `quant.metrics.snapshot`, `quant.metrics.delta`, `quant.alert.opened` or `.resolved`."""

    name: str
    data: dict[str, Any]


@dataclass(frozen=True)
class SeriesTable:
    """Series as the API told them, and the period before if it was asked for."""

    series: Series
    previous: Series | None

    def to_pandas(self) -> pd.DataFrame:
        """A column per metric, indexed by moments in UTC; what has no value is NaN. Needs pandas."""
        import pandas as pd

        index = pd.DatetimeIndex(self.series.times, tz="UTC", name="time")
        columns = {name: metric.values for name, metric in self.series.metrics.items()}
        return pd.DataFrame(columns, index=index, dtype="float64")


class Client:
    """A connection to one API; close it, or use it in a `with`.

    Raises (every method):
        ApiFailure: the API answered with an error.
        httpx.HTTPError: it could not be reached.
    """

    def __init__(self, url: str = "http://127.0.0.1:8080", key: str = "", timeout: float = 60.0) -> None:
        """`key`: an API key or a token, where the API asks for one."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, timeout=timeout, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def snapshot(
        self,
        strategy: str = "",
        account: str = "",
        window: str = "1d",
        as_of: datetime | None = None,
        known_at: datetime | None = None,
        recorded: bool | None = None,
    ) -> Frame:
        """The newest frame of a scope, or that of a past moment: computed anew, or as it was recorded."""
        scope = {"strategy_id": strategy, "account": account, "window": window}
        query = _query(**scope, as_of=as_of, known_at=known_at, recorded=recorded)
        return SnapshotResponse.model_validate(self._get(f"{QUANT}/snapshot", query)).frame

    def series(
        self,
        metrics: Sequence[str],
        strategy: str = "",
        account: str = "",
        window: str = "1d",
        start: datetime | None = None,
        end: datetime | None = None,
        **options: Any,
    ) -> SeriesTable:
        """Metrics over time; `options` are those of `GET series`: step, max_points, downsample, previous."""
        query = _query(
            metrics=",".join(metrics), strategy_id=strategy, account=account, window=window, to=end, **options
        ) | _query(**{"from": start})
        answer = SeriesResponse.model_validate(self._get(f"{QUANT}/series", query))
        return SeriesTable(answer.series, answer.previous)

    def metrics(self) -> list[MetricDefinition]:
        """The dictionary."""
        return MetricsResponse.model_validate(self._get(f"{QUANT}/metrics", {})).metrics

    def alerts(self, **filters: Any) -> list[Alert]:
        """Alerts; `filters` are those of `GET alerts`: state, severity, strategy_id, account, metric, window, limit."""
        return AlertsResponse.model_validate(self._get(f"{QUANT}/alerts", _query(**filters))).alerts

    def acknowledge(self, alert_id: str, reason: str) -> str:
        """Say that somebody looks after an alert; returns the id of the action. Needs the scope operate."""
        return self._post(f"{QUANT}/alerts/{alert_id}/acknowledge", {"reason": reason})

    def silence(self, length: str, reason: str, **scope: str) -> str:
        """Tell nobody for a while (30m, 2h, 1d) about alerts of `scope`; returns the id of the silence.

        `scope` is one or more of alert_id, policy_id, strategy_id, account. Needs the scope operate.
        """
        return self._post(f"{QUANT}/silences", {"for": length, "reason": reason, **scope})

    def end_silence(self, silence_id: str, reason: str) -> str:
        """End a silence; returns the id of the action. Needs the scope operate."""
        return self._post(f"{QUANT}/silences/{silence_id}/end", {"reason": reason})

    def silences(self) -> list[Silence]:
        """What is silent now."""
        return SilencesResponse.model_validate(self._get(f"{QUANT}/silences", {})).silences

    def health(self, as_of: datetime | None = None) -> HealthResponse:
        """Health by stage, now or at a moment of the last 90 days."""
        return HealthResponse.model_validate(self._get(f"{QUANT}/health", _query(as_of=as_of)))

    def executions(self, **filters: Any) -> Iterator[Execution]:
        """All fills that `filters` of `GET executions` find, from the newest on, page by page."""
        query = {"limit": 1000, **_query(**filters)}
        while True:
            page = ExecutionsResponse.model_validate(self._get(f"{TRADING}/executions", query))
            yield from page.executions
            if page.next is None:
                return
            query["after"] = page.next

    def stream(
        self, strategy: str = "", account: str = "", window: str = "1d", scopes: Sequence[tuple[str, str, str]] = ()
    ) -> Iterator[Event]:
        """Events for ever, of one scope or of several (strategy, account, window).

        A connection that breaks is made again, with growing pauses, and goes on where it was; an alert that comes
        again is left out. Ends only by an error that another try would not change.
        """
        wanted = scopes or [(strategy, account, window)]
        query = {"scope": ["|".join(scope) for scope in wanted]}
        told: OrderedDict[tuple[str, str], None] = OrderedDict()
        last_id, pause = "", _FIRST_PAUSE_SECONDS
        while True:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            limits = httpx.Timeout(30.0, read=_SILENCE_SECONDS)
            try:
                with connect_sse(
                    self._http, "GET", f"{QUANT}/stream", params=query, headers=headers, timeout=limits
                ) as source:
                    if source.response.status_code != 200:
                        source.response.read()
                        _raise(source.response)
                    for event in source.iter_sse():
                        if not event.data:
                            continue
                        pause, last_id = _FIRST_PAUSE_SECONDS, event.id or last_id
                        data = json.loads(event.data)
                        if event.event.startswith("quant.alert."):
                            key = (event.event, str(data["alert_id"]))
                            if key in told:
                                continue
                            told[key] = None
                            if len(told) > _REMEMBERED_ALERTS:
                                told.popitem(last=False)
                        yield Event(event.event, data)
            except ApiFailure as failure:
                if failure.status < 500:
                    raise
            except (httpx.TransportError, SSEError):
                pass
            time.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE_SECONDS)

    def _get(self, path: str, query: dict[str, Any]) -> Any:
        answer = self._http.get(path, params=query)
        if answer.status_code != 200:
            _raise(answer)
        return answer.json()

    def _post(self, path: str, body: dict[str, str]) -> str:
        answer = self._http.post(path, json=body)
        if answer.status_code != 201:
            _raise(answer)
        return ActionResponse.model_validate(answer.json()).action_id


def _query(**values: Any) -> dict[str, Any]:
    """Parameters of a request; what is None is left to its default."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
        if value is not None
    }


def _raise(answer: httpx.Response) -> None:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    raise ApiFailure(answer.status_code, problem.get("detail", answer.reason_phrase), problem.get("remedy", ""))
