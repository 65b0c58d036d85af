"""`up` with a channel: what opens is told to it and what ends as well, also when the notifier is killed between."""

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.running import QUANT, RunningUp
from tests.oracles.test_notifications import Receiver
from tests.waiting import wait_for


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_alert_is_told_to_a_channel_and_so_is_its_end(tmp_path: Path) -> None:
    receiver = Receiver()
    channels = {
        "JANGAR_QUANT_NOTIFY_URLS": f"json://127.0.0.1:{receiver.port}/hook",
        "JANGAR_QUANT_NOTIFY_GROUP_SECONDS": "1",
    }
    running = RunningUp(tmp_path / "state", channels)
    running.start()

    def lines(begin: str) -> list[str]:
        told = "\n".join(posted["message"] for posted in list(receiver.posted)).splitlines()
        return [line for line in told if line.startswith(begin) and ": metrics_pipeline_lag of all" in line]

    def is_quiet() -> bool:
        return not [one for one in running.get(f"{QUANT}/alerts")[1]["alerts"] if one["category"] == "data"]

    try:
        running.wait_until_up()
        running.wait_until_history_is_in()
        wait_for(is_quiet, 240, "nothing about the numbers is told")
        mirror, notifier = running.children()["mirror"], running.children()["notify"]
        ends = len(lines("resolved"))
        openings = len(lines("open"))
        os.kill(mirror, signal.SIGSTOP)
        try:
            wait_for(lambda: len(lines("open")) > openings, 90, "the channel is told of the alert")
            os.kill(notifier, signal.SIGKILL)
            wait_for(lambda: running.children().get("notify", notifier) != notifier, 60, "the notifier runs again")
        finally:
            os.kill(mirror, signal.SIGCONT)
        wait_for(lambda: len(lines("resolved")) > ends, 150, "the channel is told of its end")
        # What the killed one had told is not told again.
        assert len(lines("open")) == openings + 1
        assert len(lines("resolved")) == ends + 1
    finally:
        running.stop()
        receiver.close()
