"""Series and stream of the API as a server, over a warehouse whose frames the tests write themselves."""

import contextlib
import csv
import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyarrow.ipc
import pytest

from api.client import ApiFailure, Client
from tests.e2e.running import PROBLEM
from tests.oracles.world import World

QUANT = "/control-plane/quant"
# A whole hour of today or yesterday: the series keeps every row of it.
T0 = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=3)


@pytest.fixture(autouse=True)
def _empty(world: World) -> None:
    for table in ("quant_metrics_series", "latest_light", "latest_medium", "latest_heavy", "quant_alerts"):
        world.client.command(f"truncate table quant.{table}")


def store(world: World, seconds: float, value: float | None, metric: str = "net_pnl", start: datetime = T0) -> None:
    """Store a row of the series, some seconds behind the start."""
    at = start + timedelta(seconds=seconds)
    row = {
        "account": "paper",
        "window": "1h",
        "metric_name": metric,
        "as_of": at,
        "known_at": at,
        "value": value,
        "status": "ok" if value is not None else "insufficient_data",
        "quality": "good" if value is not None else "insufficient_data",
        "tier": "light",
    }
    world.client.insert("quant_metrics_series", [list(row.values())], column_names=list(row), database="quant")


def series(api: httpx.Client, seconds: float, metrics: str = "net_pnl", **more: Any) -> dict[str, Any]:
    """The body of `series` from the start on."""
    answer = api.get(f"{QUANT}/series", params=_query(seconds, metrics, **more))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _query(seconds: float, metrics: str, start: datetime = T0, **more: Any) -> dict[str, Any]:
    end = start + timedelta(seconds=seconds)
    return {
        "account": "paper",
        "window": "1h",
        "metrics": metrics,
        "from": start.isoformat(),
        "to": end.isoformat(),
        **more,
    }


def test_values_stand_until_the_next_one_and_gaps_are_null(api: httpx.Client, world: World) -> None:
    for seconds, value in [(0, 1.0), (10.5, 2.0), (200, 5.0), (210, None)]:
        store(world, seconds, value)
    store(world, 30, 7.0, "trade_count")
    found = series(api, 220, "net_pnl,trade_count", step=20)["series"]
    assert found["times"] == [(T0 + timedelta(seconds=20 * n)).isoformat().replace("+00:00", "Z") for n in range(12)]
    # A row counts for ninety seconds: an unchanged one is written every sixty.
    assert found["metrics"]["net_pnl"] == {
        "unit": "USD",
        "values": [1.0, 2.0, 2.0, 2.0, 2.0, 2.0, None, None, None, None, 5.0, None],
        "quality": ["good"] * 6 + [""] * 4 + ["good", "insufficient_data"],
    }
    assert found["metrics"]["trade_count"]["values"] == [None, None, 7, 7, 7, 7, None, None, None, None, None, None]
    assert (found["resolution"], found["step_seconds"]) == ("full", 20)


def test_the_step_follows_from_the_points_and_from_what_is_kept(api: httpx.Client, world: World) -> None:
    for seconds, points, step in [(600, 1000, 1), (3600, 1000, 5), (3600, 10, 600), (7200, 61, 120)]:
        assert series(api, seconds, max_points=points)["series"]["step_seconds"] == step
    now = datetime.now(UTC)
    for days, resolution, step in [(2, "minute", 60), (40, "hour", 3600)]:
        found = series(api, 7200, start=now - timedelta(days=days), step=5)["series"]
        assert (found["resolution"], found["step_seconds"]) == (resolution, step)


def test_the_period_before(api: httpx.Client, world: World) -> None:
    for seconds in range(0, 241, 60):
        store(world, seconds, seconds)
    body = series(api, 120, step=60, previous=True, start=T0 + timedelta(seconds=120))
    assert body["series"]["metrics"]["net_pnl"]["values"] == [120, 180, 240]
    assert body["previous"]["metrics"]["net_pnl"]["values"] == [0, 60, 120]


def test_picked_moments_keep_the_extremes(api: httpx.Client, world: World) -> None:
    values = [float((n * 37) % 101) for n in range(300)]
    values[123], values[211] = 1000.0, -1000.0
    rows = [
        ["paper", "1h", "net_pnl", T0 + timedelta(seconds=n), value, "ok", "good", "light"]
        for n, value in enumerate(values)
    ]
    names = ["account", "window", "metric_name", "as_of", "value", "status", "quality", "tier"]
    world.client.insert("quant_metrics_series", rows, column_names=names, database="quant")
    for pick in ("minmax", "lttb"):
        found = series(api, 300, downsample=pick, max_points=40)["series"]
        shown = found["metrics"]["net_pnl"]["values"]
        assert found["step_seconds"] is None
        assert 20 <= len(shown) <= 42
        assert {1000.0, -1000.0} <= set(shown)
        for time, value in zip(found["times"], shown, strict=True):
            assert values[round((datetime.fromisoformat(time) - T0).total_seconds())] == value


def test_tables_say_the_same(api: httpx.Client, world: World) -> None:
    for seconds in range(0, 300, 60):
        store(world, seconds, seconds / 7)
    query = _query(400, "net_pnl,trade_count", step=60)
    values = api.get(f"{QUANT}/series", params=query).json()["series"]["metrics"]["net_pnl"]["values"]
    answer = api.get(f"{QUANT}/series", params=query, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [None if row["net_pnl"] == r"\N" else float(row["net_pnl"]) for row in rows] == values
    assert rows[0]["time"] == T0.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    answer = api.get(f"{QUANT}/series", params=query, headers={"Accept": "application/vnd.apache.arrow.stream"})
    table = pyarrow.ipc.open_stream(answer.content).read_all()
    assert table.column_names == ["time", "net_pnl", "trade_count"]
    assert table["net_pnl"].to_pylist() == values


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"metrics": ""}, "metrics"),
        ({"metrics": "net_pnl,nonsense"}, "there is no metric 'nonsense'"),
        ({"metrics": ",".join(f"m{n}" for n in range(21))}, "one to 20"),
        ({"metrics": "net_pnl", "step": "1", "from": (T0 - timedelta(hours=20)).isoformat()}, "at most 20,000"),
        ({"metrics": "net_pnl", "from": "2999-01-01"}, "from"),
        ({"metrics": "net_pnl", "from": "2001-01-01"}, "the series begins"),
        ({"metrics": "net_pnl", "step": "0"}, "step"),
        ({"metrics": "net_pnl", "max_points": "1000000"}, "max_points"),
        ({"metrics": "net_pnl", "downsample": "mean"}, "downsample"),
        ({"metrics": "net_pnl'); drop table quant.tick --"}, "there is no metric"),
    ],
)
def test_a_wrong_request_for_a_series_is_told(api: httpx.Client, query: dict[str, str], told: str) -> None:
    answer = api.get(f"{QUANT}/series", params=query)
    assert answer.status_code == 400
    assert set(answer.json()) == PROBLEM
    assert told in answer.json()["message"]


def latest(world: World, values: dict[str, float], at: datetime, table: str = "latest_light") -> None:
    """Write metrics as a tick that changes them does."""
    moments = ("as_of", "known_at", "watermark", "window_start", "window_end", "changed_at", "recorded_at")
    for name, value in values.items():
        world.client.command(
            f"alter table quant.{table} delete where metric_name = {{name:String}} settings mutations_sync = 2",
            parameters={"name": name},
        )
        row = {
            **dict.fromkeys(moments, at),
            "account": "paper",
            "window": "1h",
            "metric_name": name,
            "value": value,
            "unit": "USD",
            "status": "ok",
            "quality": "good",
        }
        world.client.insert(table, [list(row.values())], column_names=list(row), database="quant")


Event = tuple[str, Any, str]


@contextmanager
def listening(api: httpx.Client, last: str = "", **query: Any) -> Iterator[Iterator[Event]]:
    """The events of a stream, one by one: name, data and id; a comment is `("", text, "")`."""

    def events(response: httpx.Response) -> Iterator[Event]:
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            if line:
                name, _, text = line.partition(":")
                fields[name or "comment"] = text.strip()
            elif "data" in fields:
                yield fields["event"], json.loads(fields["data"]), fields.get("id", "")
                fields = {}
            elif fields:
                yield "", fields.get("comment", ""), ""
                fields = {}

    headers = {"Last-Event-ID": last} if last else {}
    with api.stream(
        "GET", f"{QUANT}/stream", params={"account": "paper", "window": "1h", **query}, headers=headers
    ) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response)


def told(events: Iterator[Event]) -> Event:
    """The next event that is no comment."""
    return next(event for event in events if event[0])


def values_of(event: Event) -> dict[str, float]:
    return {metric["metric_name"]: metric["value"] for metric in event[1]["metrics"]}


def test_a_snapshot_then_what_changes(api: httpx.Client, world: World) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    latest(world, {"net_pnl": 1.0, "trade_count": 2.0}, now)
    latest(world, {"reject_rate": 0.5}, now - timedelta(seconds=5), "latest_medium")
    with listening(api) as events:
        first = told(events)
        assert first[0] == "quant.metrics.snapshot"
        assert values_of(first) == {"net_pnl": 1.0, "trade_count": 2.0, "reject_rate": 0.5}
        latest(world, {"net_pnl": 3.0}, now + timedelta(seconds=1))
        second = told(events)
        assert (second[0], values_of(second)) == ("quant.metrics.delta", {"net_pnl": 3.0})
        # The medium tier comes behind the light one, and is older than what was told of that.
        latest(world, {"reject_rate": 0.75}, now, "latest_medium")
        latest(world, {"trade_count": 4.0}, now + timedelta(seconds=2))
        both: dict[str, float] = {}
        while both != {"reject_rate": 0.75, "trade_count": 4.0}:
            both |= values_of(told(events))
    # Meanwhile something else changes; whoever comes back is told that, and only that.
    latest(world, {"net_pnl": 5.0}, now + timedelta(seconds=3))
    with listening(api, last=second[2]) as events:
        resumed = told(events)
        assert resumed[0] == "quant.metrics.delta"
        assert values_of(resumed) == {"net_pnl": 5.0, "reject_rate": 0.75, "trade_count": 4.0}
    with listening(api, last="nonsense") as events:
        assert told(events)[0] == "quant.metrics.snapshot"


def test_several_scopes_and_signs_of_life(api: httpx.Client, world: World) -> None:
    latest(world, {"net_pnl": 1.0}, datetime.now(UTC))
    with listening(api, scope=["|paper|1h", "|paper|5d"]) as events:
        found = [told(events), told(events)]
        assert [(event[1]["account"], event[1]["window"]) for event in found] == [("paper", "1h"), ("paper", "5d")]
        assert [len(event[1]["metrics"]) for event in found] == [1, 0]
        # The last event of a batch alone has an id.
        assert [bool(event[2]) for event in found] == [False, True]
        assert next(events) == ("", "", "")


def transition(world: World, alert: int, state: str, account: str, opened_at: datetime, at: datetime) -> None:
    row = {
        "alert_id": f"{alert:032x}",
        "policy_id": "net_pnl_1h",
        "metric_name": "net_pnl",
        "account": account,
        "window": "1h",
        "severity": "warning",
        "category": "strategy",
        "transition_at": at,
        "state": state,
        "opened_at": opened_at,
    }
    world.client.insert("quant_alerts", [list(row.values())], column_names=list(row), database="quant")


def test_alerts_come_without_a_frame_and_none_is_missed(api: httpx.Client, world: World) -> None:
    now = datetime.now(UTC)
    latest(world, {"net_pnl": 1.0}, now)
    with listening(api) as events:
        cursor = told(events)[2]
        transition(world, 1, "open", "elsewhere", now, now)
        # Older than what was told before: evaluated from a slower tier.
        early = now - timedelta(seconds=30)
        transition(world, 2, "open", "paper", early, early)
        opened = told(events)
        assert (opened[0], opened[1]["alert_id"]) == ("quant.alert.opened", f"{2:032x}")
        assert opened[1]["state"] == "open"
    transition(world, 2, "recovering", "paper", early, now)
    transition(world, 2, "resolved", "paper", early, now + timedelta(milliseconds=1))
    transition(world, 3, "open", "paper", now, now)
    with listening(api, last=cursor) as events:
        of_alerts = (event for event in events if event[0].startswith("quant.alert"))
        again = [next(of_alerts) for _ in range(3)]
    names = {(event[0], event[1]["alert_id"][-1]) for event in again}
    assert names == {("quant.alert.opened", "2"), ("quant.alert.resolved", "2"), ("quant.alert.opened", "3")}


@pytest.mark.parametrize("scope", ["paper", "|paper|2h", "nobody||1h", "|" + "x" * 65 + "|1h"])
def test_a_wrong_scope_is_told(api: httpx.Client, scope: str) -> None:
    answer = api.get(f"{QUANT}/stream", params={"scope": scope})
    assert answer.status_code in (400, 404)
    assert set(answer.json()) == PROBLEM


def test_the_client_reads_what_the_api_tells(api: httpx.Client, world: World) -> None:
    for seconds in range(0, 300, 60):
        store(world, seconds, seconds / 7)
    store(world, 120, 4.0, "trade_count")
    latest(world, {"net_pnl": 1.5}, datetime.now(UTC))
    with Client(str(api.base_url).removesuffix("/api/torghut/trading/")) as client:
        frame = client.snapshot(account="paper", window="1h")
        assert [(metric.metric_name, metric.value) for metric in frame.metrics] == [("net_pnl", 1.5)]
        end = T0 + timedelta(seconds=240)
        found = client.series(["net_pnl", "trade_count"], "", "paper", "1h", T0, end, step=60)
        table = found.to_pandas()
        assert list(table.index) == [T0 + timedelta(seconds=60 * n) for n in range(5)]
        assert table["net_pnl"].tolist() == [round(60 * n / 7, 6) for n in range(5)]
        assert table["trade_count"].isna().tolist() == [True, True, False, False, True]
        with pytest.raises(ApiFailure, match="there is no metric 'nonsense'") as failed:
            client.series(["nonsense"])
        assert failed.value.status == 400


class Relay:
    """Passes bytes on between a client and the API, and cuts every connection when it is told to."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.pairs: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                self.pairs += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def cut(self) -> None:
        for one in self.pairs:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.pairs.clear()


def test_the_client_comes_back_and_misses_no_alert(api: httpx.Client, world: World) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    latest(world, {"net_pnl": 1.0, "trade_count": 1.0}, now)
    relay = Relay(api.base_url.port or 0)
    with Client(f"http://127.0.0.1:{relay.port}") as client:
        events = client.stream(account="paper", window="1h")
        assert next(events).name == "quant.metrics.snapshot"
        transition(world, 11, "open", "paper", now, now)
        assert next(events).name == "quant.alert.opened"
        relay.cut()
        # While nobody listens.
        transition(world, 12, "open", "paper", now, now)
        latest(world, {"net_pnl": 2.0}, now + timedelta(seconds=1))
        told_alerts, values = [], {}
        while not (told_alerts and values.get("net_pnl") == 2.0):
            event = next(events)
            if event.name == "quant.alert.opened":
                told_alerts.append(event.data["alert_id"])
            elif event.name == "quant.metrics.delta":
                values |= {metric["metric_name"]: metric["value"] for metric in event.data["metrics"]}
        assert told_alerts == [f"{12:032x}"]
        events.close()
    relay.listener.close()
    relay.cut()
