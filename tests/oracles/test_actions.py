"""What operators do about alerts over HTTP, and frames as they were recorded."""

import logging
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api.client import ApiFailure, Client
from tests.oracles.test_stream import QUANT, T0, store
from tests.oracles.world import World

ALERT = "ab" * 16


@pytest.fixture(autouse=True)
def _alert(world: World) -> None:
    for table in ("quant_alerts", "alert_action", "quant_metrics_series"):
        world.client.command(f"truncate table quant.{table}")
    row = {
        "alert_id": ALERT,
        "policy_id": "reject_rate_15m",
        "metric_name": "reject_rate",
        "account": "paper",
        "window": "15m",
        "severity": "warning",
        "category": "strategy",
        "state": "open",
        "threshold": 0.1,
        "opened_at": datetime.now(UTC),
        "transition_at": datetime.now(UTC),
    }
    world.client.insert("quant_alerts", [list(row.values())], column_names=list(row), database="quant")


@pytest.fixture
def client(api: httpx.Client) -> Client:
    return Client(str(api.base_url.copy_with(path="")))


def test_an_acknowledged_alert_tells_who_and_why(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "api.routes.actions"):
        client.acknowledge(ALERT, "the venue rejects\nodd lots")
    (alert,) = client.alerts(state="all")
    assert (alert.acknowledged_by, alert.acknowledgement) == ("local", "the venue rejects\nodd lots")
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"audit: local (127.0.0.1) acknowledge alert={ALERT}: the venue rejects\\nodd lots"


def test_a_silence_is_listed_holds_and_ends(client: Client) -> None:
    silence_id = client.silence("2h", "maintenance", policy_id="reject_rate_15m", account="paper")
    (silence,) = client.silences()
    assert (silence.silence_id, silence.policy_id, silence.account) == (silence_id, "reject_rate_15m", "paper")
    length = silence.silenced_until - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < length <= timedelta(hours=2)
    assert client.alerts(state="all")[0].silenced_until == silence.silenced_until
    client.end_silence(silence_id, "done")
    assert client.silences() == []
    assert client.alerts(state="all")[0].silenced_until is None
    with pytest.raises(ApiFailure, match="no such silence") as failure:
        client.end_silence(silence_id, "again")
    assert failure.value.status == 404


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"for": "2h", "reason": "x"}, 400, "A silence over everything is none."),
        ({"for": "31d", "reason": "x", "account": "paper"}, 400, "for: 31d is too long."),
        ({"for": "soon", "reason": "x", "account": "paper"}, 400, "for: String should match pattern"),
        ({"for": "2h", "reason": " ", "account": "paper"}, 400, "reason: is empty."),
        ({"for": "2h", "reason": "x", "policy_id": "none"}, 404, "policy_id: there is no policy 'none'."),
        ({"for": "2h", "reason": "x", "alert_id": "0" * 32}, 404, "alert_id: there is no such alert."),
        ({"for": "2h", "reason": "x", "strategy_id": "none"}, 404, "strategy_id: there is no strategy 'none'."),
        ({"for": "2h", "reason": "x", "acount": "paper"}, 400, "acount: Extra inputs are not permitted."),
    ],
)
def test_what_is_no_silence_is_refused(api: httpx.Client, body: dict[str, str], status: int, detail: str) -> None:
    answer = api.post(f"{QUANT}/silences", json=body)
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(detail)


def test_a_form_of_another_page_writes_nothing(api: httpx.Client, client: Client) -> None:
    headers = {"Content-Type": "text/plain"}
    body = '{"reason": "x"}'
    assert api.post(f"{QUANT}/alerts/{ALERT}/acknowledge", content=body, headers=headers).status_code == 400
    assert client.alerts(state="all")[0].acknowledged_by == ""


def test_a_recorded_frame_is_what_the_series_said(world: World, client: Client) -> None:
    for seconds, value in [(0, 1.0), (10, 2.0), (200, 5.0)]:
        store(world, seconds, value)
    store(world, 15, 3.0, "trade_count")
    frame = client.snapshot(account="paper", window="1h", as_of=T0 + timedelta(seconds=20), recorded=True)
    assert {metric.metric_name: metric.value for metric in frame.metrics} == {"net_pnl": 2.0, "trade_count": 3.0}
    assert frame.as_of == T0 + timedelta(seconds=15)
    with pytest.raises(ApiFailure) as failure:
        client.snapshot(account="paper", window="1h", as_of=T0 + timedelta(seconds=150), recorded=True)
    assert failure.value.status == 404
    with pytest.raises(ApiFailure, match="recorded: goes with `as_of`"):
        client.snapshot(account="paper", recorded=True)
