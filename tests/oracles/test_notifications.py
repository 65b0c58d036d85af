"""What channels are told of alerts: a webhook, a chat and a mailbox on this machine, and the real warehouse."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import clickhouse_connect
import pytest
from aiosmtpd.controller import Controller
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.errors import UserError
from orchestration.notify import notifier as module
from orchestration.notify.channel import channels_of
from orchestration.notify.message import compose
from orchestration.notify.notifier import Notifier
from orchestration.settings import Settings, get_settings
from tests.oracles.world import World
from tests.ports import free_port

Make = Callable[..., Notifier]


class Receiver:
    """An HTTP server that keeps what was posted to it; `status` is what it answers."""

    def __init__(self, port: int = 0) -> None:
        self.posted: list[dict[str, Any]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.status == 200:
                    receiver.posted.append(json.loads(body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def make(world: World, warehouse_settings: Settings, receiver: Receiver) -> Iterator[Make]:
    """Makes notifiers of the webhook, unless other channels are given; each is as one that has just started."""
    for table in ("quant_alerts", "alert_notification", "alert_action"):
        world.client.command(f"truncate table quant.{table}")
    made: list[Notifier] = []

    def connect() -> Client:
        return clickhouse_connect.get_client(
            host="127.0.0.1", port=warehouse_settings.warehouse_port, autogenerate_session_id=False, tz_mode="aware"
        )

    def notifier(urls: str = "", severity: str = "warning", repeat: int = 3600, group: float = 0) -> Notifier:
        urls = urls or f"json://127.0.0.1:{receiver.port}/hook"
        made.append(Notifier(connect, channels_of(urls), severity, repeat, group))
        return made[-1]

    yield notifier
    for one in made:
        one.close()


def transition(world: World, alert: int, state: str = "open", severity: str = "critical", ago: float = 0) -> str:
    """Store a transition of an episode as the evaluation does; the time is `ago` seconds ago."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    opened_at = world.client.query(
        "select min(opened_at) from quant.quant_alerts where alert_id = {id:String} having count() > 0",
        parameters={"id": f"{alert:032x}"},
    ).result_rows
    row = {
        "alert_id": f"{alert:032x}",
        "policy_id": f"policy_{alert}",
        "metric_name": "sharpe_annualized",
        "account": "paper",
        "window": "5d",
        "severity": severity,
        "category": "strategy",
        "threshold": 0.5,
        "runbook": "docs/alerts.md",
        "transition_at": at,
        "state": state,
        "observed": 0.25,
        "opened_at": opened_at[0][0] if opened_at else at,
        "resolved_at": at if state == "resolved" else None,
    }
    world.client.insert("quant_alerts", [list(row.values())], column_names=list(row), database="quant")
    return row["alert_id"]


def act(world: World, action: str, alert_id: str, until: datetime | None = None) -> None:
    world.client.insert(
        "alert_action",
        [[datetime.now(UTC), "someone", action, alert_id, until]],
        column_names=["acted_at", "actor", "action", "alert_id", "silenced_until"],
        database="quant",
    )


def test_what_opened_is_one_message_and_what_ended_is_told_once(world: World, make: Make, receiver: Receiver) -> None:
    notifier = make()
    notifier.step()
    assert receiver.posted == []
    for alert in (1, 2):
        transition(world, alert)
    transition(world, 3, severity="warning")
    transition(world, 4, severity="info")
    notifier.step()
    notifier.step()
    # One that starts anew knows what was told.
    make().step()
    [message] = receiver.posted
    assert message["title"] == "jangar-quant: 3 open"
    assert message["type"] == "failure"
    lines = message["message"].splitlines()
    assert [line.partition(" of ")[0] for line in lines] == [
        "open, critical: policy_1",
        "open, critical: policy_2",
        "open, warning: policy_3",
    ]
    assert "of paper 5d: sharpe_annualized 0.25, limit 0.5, since 2" in lines[0]
    assert lines[0].endswith("docs/alerts.md")
    transition(world, 1, "recovering")
    notifier.step()
    transition(world, 1, "resolved")
    notifier.step()
    notifier.step()
    assert [posted["title"] for posted in receiver.posted[1:]] == ["jangar-quant: resolved: policy_1"]
    assert receiver.posted[1]["type"] == "success"


def test_a_message_without_its_note_is_told_again(world: World, make: Make, receiver: Receiver) -> None:
    notifier = make()
    notifier.step()
    transition(world, 1)
    notifier.step()
    # As after a kill between the two.
    world.client.command("alter table quant.alert_notification delete where event = 'open' settings mutations_sync = 2")
    make().step()
    assert [posted["title"] for posted in receiver.posted] == ["jangar-quant: open: policy_1"] * 2


def test_a_receiver_that_is_down_is_told_later(
    world: World, make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FIRST_RETRY_SECONDS", 0.0)
    notifier = make()
    notifier.step()
    receiver.status = 500
    transition(world, 1)
    notifier.step()
    assert receiver.posted == []
    failed = world.client.query("select * from quant.api_notifications").result_rows
    assert [(outcome, alerts) for _, outcome, alerts in failed] == [("failed", 1)]
    receiver.status = 200
    notifier._progress[notifier.channels[0].name].retry_at = 0
    notifier.step()
    notifier.step()
    assert len(receiver.posted) == 1


def test_a_failed_message_waits_longer_each_time(world: World, make: Make, receiver: Receiver) -> None:
    notifier = make()
    notifier.step()
    receiver.status = 500
    transition(world, 1)
    progress = notifier._progress[notifier.channels[0].name]
    waits = []
    for _ in range(8):
        progress.retry_at = 0
        before = progress.retry_seconds
        notifier.step()
        waits.append(before)
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]
    notifier.step()
    assert world.client.command("select count() from quant.alert_notification where outcome = 'failed'") == 8


def test_what_is_silenced_or_acknowledged_is_not_told_again(world: World, make: Make, receiver: Receiver) -> None:
    make().step()
    told, seen, silent = (transition(world, number) for number in (1, 2, 3))
    act(world, "silence", silent, datetime.now(UTC) + timedelta(hours=1))
    act(world, "acknowledge", seen)
    make(repeat=60).step()
    assert receiver.posted[0]["title"] == "jangar-quant: 2 open"
    assert "policy_3" not in receiver.posted[0]["message"]
    world.client.command(
        "alter table quant.alert_notification update error = 'older' where 1 settings mutations_sync = 2"
    )
    rows = world.client.query("select * from quant.alert_notification").result_rows
    world.client.command("truncate table quant.alert_notification")
    world.client.insert(
        "alert_notification", [[row[0] - timedelta(minutes=2), *row[1:]] for row in rows], database="quant"
    )
    make(repeat=60).step()
    assert [posted["title"] for posted in receiver.posted[1:]] == ["jangar-quant: still open: policy_1"]
    # The end of one that nobody heard of is not told either, until the silence is over.
    transition(world, 3, "resolved")
    make(repeat=60).step()
    assert len(receiver.posted) == 2
    assert told != seen


def test_what_was_over_before_the_channel_began_is_not_told(world: World, make: Make, receiver: Receiver) -> None:
    transition(world, 1, ago=3600)
    transition(world, 1, "resolved", ago=1800)
    transition(world, 2, ago=3600)
    make().step()
    assert [posted["title"] for posted in receiver.posted] == ["jangar-quant: open: policy_2"]
    # While nobody listened it opened and ended.
    transition(world, 3)
    transition(world, 3, "resolved")
    make().step()
    assert [posted["title"] for posted in receiver.posted[1:]] == ["jangar-quant: resolved: policy_3"]


def test_news_wait_for_others(world: World, make: Make, receiver: Receiver) -> None:
    notifier = make(group=3600)
    notifier.step()
    transition(world, 1)
    notifier.step()
    assert receiver.posted == []
    transition(world, 2)
    notifier.group_seconds = 0
    notifier.step()
    assert receiver.posted[0]["title"] == "jangar-quant: 2 open"


def test_a_chat_and_a_mailbox_get_the_same(world: World, make: Make, receiver: Receiver) -> None:
    mails: list[bytes] = []

    class Mailbox:
        async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:  # noqa: N802
            mails.append(envelope.content)
            return "250 taken"

    controller = Controller(Mailbox(), hostname="127.0.0.1", port=free_port(), loop=asyncio.new_event_loop())
    controller.start()
    try:
        notifier = make(
            f"mmost://127.0.0.1:{receiver.port}/3ccdd113474722377935511fc85d3dd4"
            f" mailto://b.com:{controller.port}?smtp=127.0.0.1&from=a@b.com&to=d@e.com"
        )
        notifier.step()
        transition(world, 1)
        notifier.step()
    finally:
        controller.stop()
    assert "policy_1" in receiver.posted[0]["text"]
    assert b"Subject: jangar-quant: open: policy_1" in mails[0]


def test_a_warehouse_that_does_not_evaluate_is_told_once(
    make: Make, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = make()
    monkeypatch.setattr(module, "SILENT_SECONDS", -1.0)
    connect = notifier.connect

    def refuse() -> Client:
        raise ConnectionError("gone")

    notifier.connect = refuse
    for _ in range(2):
        notifier.step()
    assert [posted["title"] for posted in receiver.posted] == ["jangar-quant: alerts are not evaluated"]
    monkeypatch.setattr(module, "SILENT_SECONDS", 1e12)
    notifier.connect = connect
    for _ in range(2):
        notifier.step()
    assert [posted["title"] for posted in receiver.posted[1:]] == ["jangar-quant: alerts are evaluated again"]


def test_a_long_message_is_cut() -> None:
    row = {
        "event": "open",
        "severity": "warning",
        "policy_id": "p",
        "strategy_name": "s",
        "strategy_id": "1",
        "account": "",
        "window": "",
        "metric_name": "m",
        "observed": None,
        "threshold": 1.0,
        "opened_at": datetime(2026, 1, 5, tzinfo=UTC),
        "runbook": "",
    }
    title, body, kind = compose([row] * 30)
    assert (title, kind) == ("jangar-quant: 30 open", "warning")
    assert len(body.splitlines()) == 21
    assert body.splitlines()[0] == "open, warning: p of s: m no value, limit 1, since 2026-01-05T00:00:00.000Z"
    assert body.endswith("... and 10 more: jangar-quant alerts list")


def test_a_wrong_url_is_refused_without_its_secret() -> None:
    with pytest.raises(UserError, match=r"number 2 \(nonsense\)") as refused:
        channels_of("json://localhost/hook nonsense://user:secret@host")
    assert "secret" not in refused.value.message + refused.value.remedy


def test_channels_are_tried_by_a_command(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "JANGAR_QUANT_NOTIFY_URLS", f"json://127.0.0.1:{receiver.port}/a json://:pass@127.0.0.1:{free_port()}/b"
    )
    get_settings.cache_clear()
    try:
        tried = CliRunner().invoke(app, ["notify", "--test"])
    finally:
        get_settings.cache_clear()
    assert tried.exit_code == 1
    said = tried.stdout.splitlines()
    assert said[0].startswith("ok      json-")
    assert said[1].startswith("failed  json-")
    assert "pass" not in tried.stdout
    assert receiver.posted[0]["title"] == "jangar-quant: a test"
