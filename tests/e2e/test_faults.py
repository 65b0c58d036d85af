"""API and warehouse are killed under load: who asks is answered or refused at once, who listens goes on by himself."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from api.client import Client
from tests.e2e.running import QUANT, RunningUp
from tests.waiting import wait_for

ASKED = (
    "snapshot?account=paper-crypto&window=1h",
    "series?account=paper-crypto&metrics=net_pnl",
    "alerts?state=all",
    "health",
)
ASKERS, LISTENERS = 8, 20
# A query may take ten seconds, and so may waiting for a connection.
LONGEST_ANSWER_SECONDS = 22


@dataclass
class Load:
    """What everybody saw since the last `forget`."""

    # When it was asked, the status (0: no connection), the seconds until the answer.
    answers: list[tuple[float, int, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    told: Counter[int] = field(default_factory=Counter)
    broken: list[BaseException] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def forget(self) -> None:
        self.answers, self.faults, self.told = [], [], Counter()

    def ask(self, base: str, path: str) -> None:
        """Ask again and again; refused is answered, too."""
        with httpx.Client(base_url=base, timeout=2 * LONGEST_ANSWER_SECONDS) as client:
            while not self.ended.is_set():
                began = time.monotonic()
                status = 0
                try:
                    answer = client.get(f"{QUANT}/{path}")
                    status = answer.status_code
                    if status == 503 and "retry-after" not in answer.headers:
                        self.faults.append(f"{path}: 503 without Retry-After")
                    elif status not in (200, 503):
                        self.faults.append(f"{path}: {status} {answer.text}")
                except httpx.TimeoutException as error:
                    self.faults.append(f"{path}: {error!r}")
                except httpx.TransportError:
                    # The process is gone: asking at once again would only heat the core.
                    self.ended.wait(0.1)
                self.answers.append((began, status, time.monotonic() - began))

    def listen(self, base: str, number: int) -> None:
        """Count what a listener is told; it never ends by itself."""
        try:
            with Client(base) as client:
                for event in client.stream(account="paper-crypto", window="1h"):
                    if event.name.startswith("quant.metrics."):
                        self.told[number] += 1
                    if self.ended.is_set():
                        return
        except BaseException as error:
            self.broken.append(error)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    limits = {"JANGAR_QUANT_API_REQUESTS_PER_SECOND": "100000", "JANGAR_QUANT_API_STREAMS_PER_CLIENT": "100"}
    running = RunningUp(Path(tmp_path_factory.mktemp("faults")) / "state", limits)
    running.start()
    running.wait_until_up()
    running.wait_until_history_is_in()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def load(up: RunningUp) -> Iterator[Load]:
    base = f"http://127.0.0.1:{up.ports['JANGAR_QUANT_API_PORT']}"
    seen = Load()
    askers = [threading.Thread(target=seen.ask, args=(base, ASKED[n % len(ASKED)])) for n in range(ASKERS)]
    listeners = [threading.Thread(target=seen.listen, args=(base, n)) for n in range(LISTENERS)]
    with ExitStack() as stack:
        stack.callback(seen.ended.set)
        for thread in (*askers, *listeners):
            thread.start()
            stack.callback(thread.join, 60)
        stack.callback(seen.ended.set)
        wait_for(lambda: len(seen.told) == LISTENERS, 60, "everybody is told")
        yield seen


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("killed", [("api",), ("warehouse",), ("api", "warehouse")], ids=" and ".join)
def test_everybody_goes_on_after_what_is_killed(up: RunningUp, load: Load, killed: tuple[str, ...]) -> None:
    pids = {name: up.children()[name] for name in killed}
    load.forget()
    began = time.monotonic()
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: all(up.children().get(name, pid) != pid for name, pid in pids.items()), 60, "they run again")

    restarted = time.monotonic()

    def is_answered() -> bool:
        newest = load.answers[-4 * ASKERS :]
        return all(asked > restarted and status == 200 for asked, status, _ in newest)

    wait_for(is_answered, 60, "every request is answered again")
    answered = time.monotonic() - began
    before = Counter(load.told)
    wait_for(lambda: all(load.told[n] > before[n] for n in range(LISTENERS)), 60, "every listener is told more")
    listening = time.monotonic() - began
    found = Counter(status for _, status, _ in load.answers)
    longest = max(seconds for _, _, seconds in load.answers)
    print(
        f"{' and '.join(killed)}: answered after {answered:.1f} s, listeners after {listening:.1f} s;"
        f" {found[200]} answers, {found[503]} times 503, {found[0]} times no API; the longest took {longest:.1f} s"
    )
    assert not load.faults, load.faults[:5]
    assert not load.broken, load.broken[:5]
    assert longest < LONGEST_ANSWER_SECONDS
