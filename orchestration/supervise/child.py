"""One supervised child process: its command, its log file, its restarts."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Restart delays double from the first to the last value and start over after a child has run this long.
FIRST_DELAY_SECONDS = 0.5
LAST_DELAY_SECONDS = 10.0
STABLE_SECONDS = 60.0
# A log beyond this size is kept as `.1` when its process starts again.
LOG_BYTES = 20_000_000

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Ask Linux to end this child when the supervisor dies, `kill -9` included: nothing is left behind."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """A process that the supervisor keeps alive.

    Attributes:
        name: what progress lines, log file and pid file call it.
        command: argument vector.
        ready: returns true once the process serves; may raise while it does not.
        stop_seconds: time it gets to stop by itself before it is killed.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool]
    log_path: Path
    env: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 10.0
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    _started_at: float = 0.0
    _delay: float = FIRST_DELAY_SECONDS
    _not_before: float = 0.0

    def start(self) -> None:
        """Start the process; its output is appended to the log file."""
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._started_at = time.monotonic()

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self.process.pid if self.running and self.process else None

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last run; negative for a signal."""
        return None if self.process is None else self.process.poll()

    def is_ready(self) -> bool:
        """Whether it runs and serves. Never raises."""
        try:
            return self.running and self.ready()
        except Exception:
            return False

    def restart_if_dead(self) -> int | None:
        """Start a dead process again once its delay has passed.

        Returns:
            The exit code, once per death, when it is first noticed; otherwise None.
        """
        if self.process is None or self.running:
            return None
        now = time.monotonic()
        if not self._not_before:
            if now - self._started_at > STABLE_SECONDS:
                self._delay = FIRST_DELAY_SECONDS
            self._not_before = now + self._delay
            self._delay = min(self._delay * 2, LAST_DELAY_SECONDS)
            self._kill_group()
            return self.process.returncode
        if now >= self._not_before:
            self._not_before = 0.0
            self.restarts += 1
            self.start()
        return None

    def stop(self) -> None:
        """Ask the process to stop; kill its group when it does not within `stop_seconds`."""
        if self.process is None:
            return
        if self.running:
            self.process.terminate()
            try:
                self.process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                self._kill_group()
        self._kill_group()
        self.process = None

    def _kill_group(self) -> None:
        """End what the process may have left in its own session, such as workers of its own."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log, for an error message."""
        if not self.log_path.exists():
            return ""
        with self.log_path.open("rb") as log:
            log.seek(max(0, self.log_path.stat().st_size - 20_000))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])
