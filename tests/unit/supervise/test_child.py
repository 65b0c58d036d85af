"""A supervised child: restarts with growing delays, stops with everything it started."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestration.supervise import child as child_module
from orchestration.supervise.child import Child
from tests.waiting import wait_for


@pytest.fixture
def children(tmp_path: Path) -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.stop()


def _child(tmp_path: Path, code: str, children: list[Child], **options: float) -> Child:
    child = Child("part", [sys.executable, "-c", code], lambda: True, tmp_path / "part.log", **options)  # type: ignore[arg-type]
    children.append(child)
    child.start()
    return child


def test_a_killed_child_is_reported_once_and_started_again(tmp_path: Path, children: list[Child]) -> None:
    child = _child(tmp_path, "import signal; signal.pause()", children)
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    reported: list[int] = []

    def again() -> bool:
        code = child.restart_if_dead()
        if code is not None:
            reported.append(code)
        return child.running and child.pid != first

    wait_for(again, 10, "the child runs again")
    assert reported == [-signal.SIGKILL]
    assert child.restarts == 1


def test_the_delay_doubles_while_it_keeps_dying(
    tmp_path: Path, children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(child_module.time, "monotonic", lambda: clock[0])
    child = _child(tmp_path, "raise SystemExit(3)", children)
    delays: list[float] = []
    for _ in range(4):
        assert child.process is not None
        child.process.wait(10)
        assert child.restart_if_dead() == 3
        died = clock[0]
        restarts = child.restarts
        while child.restarts == restarts:
            clock[0] += 0.25
            child.restart_if_dead()
        delays.append(clock[0] - died)
    assert delays == [0.5, 1.0, 2.0, 4.0]


def test_stop_ends_what_the_child_started(tmp_path: Path, children: list[Child]) -> None:
    code = (
        "import signal, subprocess, sys\n"
        "worker = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(worker.pid, flush=True)\n"
        "signal.pause()\n"
    )
    child = _child(tmp_path, code, children)
    worker = int(wait_for(lambda: child.log_tail().strip(), 10, "the worker's process id"))
    assert psutil.pid_exists(worker)
    child.stop()
    wait_for(
        lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE,
        10,
        "the worker is gone",
    )


def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path, children: list[Child]) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    child = _child(tmp_path, code, children, stop_seconds=0.2)
    wait_for(lambda: "deaf" in child.log_tail(), 10, "the child ignores SIGTERM")
    process = child.process
    child.stop()
    assert process is not None
    assert process.returncode == -signal.SIGKILL


def test_a_large_log_is_set_aside_at_start(
    tmp_path: Path, children: list[Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "LOG_BYTES", 10)
    (tmp_path / "part.log").write_text("x" * 11)
    _child(tmp_path, "import signal; signal.pause()", children)
    assert (tmp_path / "part.log.1").read_text() == "x" * 11
