"""One part of the pipeline stands still: the one alert that names it opens, nothing else does, and it ends."""

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.running import QUANT, RunningUp
from tests.waiting import wait_for

LATE = {"light_tier_late", "medium_tier_late", "heavy_tier_late", "series_late"}
IS_CROWDED = "PYTEST_XDIST_WORKER" in os.environ


def _data_alerts(up: RunningUp, since: datetime) -> list[dict[str, Any]]:
    """Alerts about the numbers, not about strategies, that opened since then."""
    status, body = up.get(f"{QUANT}/alerts?state=all&limit=5000&from={quote(since.isoformat())}")
    assert status == 200, body
    return [
        alert
        for alert in body["alerts"]
        if alert["category"] == "data" and datetime.fromisoformat(alert["opened_at"]) >= since
    ]


def test_a_mirror_that_stands_still_is_one_alert(up: RunningUp) -> None:
    def is_quiet() -> bool:
        active = {alert["policy_id"] for alert in up.get(f"{QUANT}/alerts")[1]["alerts"]}
        return not active & ({"metrics_pipeline_lag"} | LATE)

    # What the start or the tests before opened is over.
    wait_for(is_quiet, 150, "neither the mirror nor a tier is late")
    began, mirror = datetime.now(UTC), up.children()["mirror"]
    os.kill(mirror, signal.SIGSTOP)
    try:
        opened = wait_for(
            lambda: [alert for alert in _data_alerts(up, began) if alert["policy_id"] not in LATE], 90, "an alert opens"
        )
        # The bound of the policy is 15 seconds, then two evaluations, which are 15 seconds apart here.
        assert datetime.fromisoformat(opened[0]["opened_at"]) - began < timedelta(seconds=60)
        assert 15 < opened[0]["observed"] < 60
        frame = up.get(f"{QUANT}/snapshot?account=paper&window=1h")[1]["frame"]
        assert "metrics_pipeline_lag" in {alert["policy_id"] for alert in frame["alerts"]}
    finally:
        os.kill(mirror, signal.SIGCONT)
    identity = opened[0]["alert_id"]

    def ended() -> bool:
        return bool(up.get(f"{QUANT}/alerts/{identity}")[1]["alert"]["state"] == "resolved")

    wait_for(ended, 60, "the alert ends")
    told = [alert["policy_id"] for alert in _data_alerts(up, began)]
    # Beside other tests two cores do not always keep the tiers in time, and that is told, too.
    assert [policy for policy in told if not (IS_CROWDED and policy in LATE)] == ["metrics_pipeline_lag"]
    history = up.get(f"{QUANT}/alerts/{identity}")[1]["history"]
    assert history[0]["state"] == "open"
    assert history[-1]["state"] == "resolved"


def test_people_acknowledge_and_silence(up: RunningUp) -> None:
    alert = up.get(f"{QUANT}/alerts?state=all")[1]["alerts"][0]
    identity = alert["alert_id"]
    assert identity in up.cli("alerts", "ack", identity[:12], "--reason", "known", "--by", "somebody")
    up.cli("alerts", "silence", "--for", "2h", "--policy", alert["policy_id"], "--reason", "maintenance")
    body = up.get(f"{QUANT}/alerts/{identity}")[1]
    assert (body["alert"]["acknowledged_by"], body["alert"]["acknowledgement"]) == ("somebody", "known")
    assert datetime.fromisoformat(body["alert"]["silenced_until"]) > datetime.now(UTC) + timedelta(hours=1)
    assert {"acknowledge"} <= {change["state"] for change in body["history"]}
    up.cli("alerts", "unsilence", "--policy", alert["policy_id"], "--reason", "over")
    assert up.get(f"{QUANT}/alerts/{identity}")[1]["alert"]["silenced_until"] is None
    assert "metrics_pipeline_lag" in up.cli("alerts", "list", "--state", "all")


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("alerts?state=loud", 400, "state"),
        ("alerts?severity=high", 400, "severity"),
        ("alerts?limit=0", 400, "limit"),
        ("alerts?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", 400, "from"),
        (f"alerts/{'0' * 32}", 404, "no such alert"),
        ("alerts/robert", 400, "alert_id"),
    ],
)
def test_a_wrong_request_for_alerts_gets_one_readable_error(up: RunningUp, path: str, status: int, told: str) -> None:
    answered, body = up.get(f"{QUANT}/{path}")
    assert answered == status
    assert told in body["message"]
