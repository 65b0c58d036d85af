"""The run of `jangar-quant up`: what starts in which order, when each part counts as ready, and how all of it stops."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from rich.console import Console

from orchestration.defs.command import dagster_home
from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.supervise import preflight
from orchestration.supervise.child import Child
from orchestration.supervise.steps import Step, Steps

READY_SECONDS = 90.0
# The mirror copies the whole source before it streams; a million rows take about half a minute here.
MIRROR_READY_SECONDS = 1800.0
POLL_SECONDS = 0.1


class Stopped(Exception):
    """Ctrl-C or SIGTERM arrived."""


@dataclass
class Up:
    """One run. `settings` must be those of the children too: they inherit this process's environment."""

    settings: Settings
    console: Console
    desk: bool = True
    dagster: bool = True
    children: list[Child] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lineage: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Start everything, watch it until a signal comes, then stop it. A failed start stops what was started.

        Raises:
            UserError: a part does not come up; the message carries the end of its log.
        """
        state = self.settings.state_dir
        preflight.prepare_state_dir(state)
        with preflight.only_one(state):
            leftovers = preflight.end_leftovers(state)
            if leftovers:
                self.console.print(f"ended what an earlier run left behind: {', '.join(leftovers)}")
            preflight.check_ports(preflight.wanted_ports(self.settings, self.dagster))
            if self.dagster:
                # Now rather than in the log of a child.
                dagster_home(self.settings)
            for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(name, self._on_signal)
            started = time.monotonic()
            try:
                with Steps(self.console) as steps:
                    self._start_all(steps)
                self._tell_urls(time.monotonic() - started)
                self._watch()
            except Stopped:
                pass
            finally:
                self._stop_all()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self._stop.set()

    # --- start

    def _start_all(self, steps: Steps) -> None:
        settings = self.settings
        if settings.embedded_source:
            with steps.step("source", "starting the embedded Postgres") as step:
                self._start(step, "postgres", ["postgres"], self._source_ready)
                step.done = f"embedded Postgres on 127.0.0.1:{settings.source_port}"
            with steps.step("schema", "applying Torghut's migrations") as step:
                from orchestration.source.migrate import migrate

                step.done = f"source schema at {migrate(settings.source_dsn())}"
        else:
            with steps.step("source", "connecting to the Postgres of TORGHUT_DB_DSN") as step:
                from orchestration.source.connection import connect

                connect(settings).close()
                step.done = "the Postgres of TORGHUT_DB_DSN answers"
        with steps.step(
            "warehouse",
            "starting the embedded ClickHouse" if settings.embedded_warehouse else "connecting to ClickHouse",
        ) as step:
            if settings.embedded_warehouse:
                self._start(step, "warehouse", ["warehouse"], lambda: _http_ok(f"{settings.warehouse_url()}/ping"))
                step.done = f"embedded ClickHouse on {settings.warehouse_url()}"
            else:
                from orchestration.warehouse.client import connect as connect_warehouse

                connect_warehouse(settings).close()
                step.done = "the ClickHouse of CLICKHOUSE_URL answers"
        self._build_and_write_history(steps)
        if self.dagster:
            # It takes ten seconds of a core, for which Dagster's first load would wait; what it did not get done, that
            # load does, and says what went wrong.
            self._lineage = subprocess.Popen(
                [sys.executable, "-m", "orchestration.defs.lineage.project"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            # The definitions need what was built and nothing that runs; they load while the mirror copies. Nobody waits
            # for Dagster: no number depends on it.
            self._launch("dagster-code", ["dagster", "code"], lambda: True)
        with steps.step("mirror", "copying the source into the warehouse") as step:
            self._start(step, "mirror", ["mirror"], self._mirror_streams, MIRROR_READY_SECONDS, self._mirror_detail)
            step.done = "streams from the source into torghut_raw"
        if self._simulates:
            with steps.step("desk", "opening the simulated desk") as step:
                self._start(step, "desk", ["desk"], lambda: True)
                step.done = f"trades at {settings.desk_rate:g} decisions/s"
        with steps.step("api", "starting the API") as step:
            self._start(step, "api", ["api"], lambda: _http_ok(f"{self._api_url}/healthz"))
            step.done = f"serves on {self._api_url}"
        if self.settings.notify_urls.get_secret_value():
            with steps.step("notify", "opening the channels of JANGAR_QUANT_NOTIFY_URLS") as step:
                self._start(step, "notify", ["notify"], lambda: True)
                step.done = "tells about alerts"
        if self.dagster:
            for part in ("daemon", "web"):
                self._launch(f"dagster-{part}", ["dagster", part], lambda: True)
        if self.settings.control_plane_enabled:
            with steps.step("metrics", "waiting for the first live frame") as step:
                self._await_frame(step)

    @property
    def _simulates(self) -> bool:
        return self.desk and self.settings.embedded_source

    @property
    def _api_url(self) -> str:
        return f"http://{self.settings.api_host}:{self.settings.api_port}"

    def _build_and_write_history(self, steps: Steps) -> None:
        """Build the dbt project while the desk writes its history: neither needs the other, and both take seconds."""
        failure: list[BaseException] = []
        history: threading.Thread | None = None
        if self._simulates:
            history = threading.Thread(target=self._guarded, args=(failure, lambda: self._history(steps)), daemon=True)
            history.start()
        with steps.step("models", "building the dbt project") as step:
            from orchestration.transform.build import build

            built = build(self.settings, on_event=lambda event: step.update(event.name, event.index, event.total))
            step.done = f"{built} models, seeds and views built" if built else "models are up to date"
        while history is not None and history.is_alive():
            history.join(POLL_SECONDS)
            self._check_stopped()
        if failure:
            raise failure[0]

    def _guarded(self, failure: list[BaseException], work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    def _history(self, steps: Steps) -> None:
        with steps.step("history", f"the desk writes {self.settings.desk_history_days} days of trading") as step:
            from orchestration.desk.history import write_history

            orders = write_history(self.settings, on_progress=lambda done, total, what: step.update(what, done, total))
            step.done = f"{orders:,} orders of simulated history" if orders else "the desk's history is there"

    def _launch(self, name: str, arguments: list[str], ready: Callable[[], bool]) -> Child:
        """Start a child without waiting for it."""
        child = Child(
            name=name,
            command=[sys.executable, "-m", "orchestration", *arguments],
            ready=ready,
            log_path=self.settings.state_dir / "logs" / f"{name}.log",
            # A person reads these logs later: no colours, no progress bars.
            env={"NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "TERM": "dumb"},
        )
        child.start()
        self.children.append(child)
        self._record()
        return child

    def _start(
        self,
        step: Step,
        name: str,
        arguments: list[str],
        ready: Callable[[], bool],
        timeout: float = READY_SECONDS,
        detail: Callable[[], str] | None = None,
    ) -> None:
        child = self._launch(name, arguments, ready)

        def is_ready() -> bool:
            if not child.running:
                raise UserError(f"{name} stopped while starting (exit code {child.exit_code}).\n{child.log_tail()}")
            return child.is_ready()

        self._await(step, name, is_ready, timeout, detail)

    def _await(
        self,
        step: Step,
        what: str,
        condition: Callable[[], bool],
        timeout: float,
        detail: Callable[[], str] | None = None,
    ) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            self._check_stopped()
            if time.monotonic() > deadline:
                raise UserError(
                    f"{what} was not ready within {timeout:.0f} s.",
                    f"Its log is in {self.settings.state_dir / 'logs'}; `jangar-quant doctor` names usual causes.",
                )
            if detail is not None:
                step.update(detail())
            self._stop.wait(POLL_SECONDS)

    def _await_frame(self, step: Step) -> None:
        """Wait for the first live frame; past the deadline the parts go on: stopping them would only begin it anew."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            ready, told = self._readiness()
            if ready:
                step.done = told
                return
            self._check_stopped()
            if time.monotonic() > deadline:
                step.late = True
                step.done = f"no live frame within {READY_SECONDS:.0f} s, it goes on. {told}"
                return
            step.update(told)
            self._stop.wait(POLL_SECONDS)

    def _check_stopped(self) -> None:
        if self._stop.is_set():
            raise Stopped

    # --- when a part is ready

    def _source_ready(self) -> bool:
        from orchestration.source.connection import connect

        connect(self.settings, connect_timeout=2).close()
        return True

    def _mirror_status(self) -> tuple[str, str]:
        from orchestration.warehouse.client import connect

        with connect(self.settings) as client:
            rows = client.query(
                "select state, detail from torghut_raw.mirror_status final where slot = {slot:String}",
                parameters={"slot": self.settings.mirror_slot},
            ).result_rows
        return (str(rows[0][0]), str(rows[0][1])) if rows else ("starting", "")

    def _mirror_streams(self) -> bool:
        return self._mirror_status()[0] == "streaming"

    def _mirror_detail(self) -> str:
        try:
            state, detail = self._mirror_status()
        except Exception:
            return "starting"
        return f"{state} {detail}".strip()

    def _readiness(self) -> tuple[bool, str]:
        """Whether the API serves live frames, or has none to serve, and what to tell of it."""
        try:
            with urllib.request.urlopen(f"{self._api_url}/readyz", timeout=2) as response:
                has_facts = json.load(response)["has_facts"]
        except urllib.error.HTTPError as error:
            told = json.load(error)
            return False, f"{told['message']} {told['remedy']}"
        except OSError as error:
            return False, f"The API does not answer: {error}."
        if not has_facts:
            return True, "no trades in the source yet; `jangar-quant load` brings some from files"
        return True, "a live frame is served"

    # --- while it runs

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            for child in self.children:
                before = child.pid
                code = child.restart_if_dead()
                if code is not None:
                    self.console.print(
                        f"[yellow]{child.name} ended[/] ({_reason(code)}); starting it again", highlight=False
                    )
                elif child.pid != before:
                    self._record()
                    self.console.print(
                        f"[green]{child.name} is running again[/] (process {child.pid})", highlight=False
                    )

    def _record(self) -> None:
        preflight.record_children(self.settings.state_dir, {c.name: c.pid for c in self.children if c.pid is not None})

    def _stop_all(self) -> None:
        if self.children:
            self.console.print("stopping ...")
        for child in reversed(self.children):
            child.stop()
        if self._lineage is not None:
            self._lineage.terminate()
            self._lineage.wait()
        (self.settings.state_dir / "children.json").unlink(missing_ok=True)
        if self.children:
            self.console.print(
                "stopped; the data stays in " + str(self.settings.state_dir), highlight=False, soft_wrap=True
            )

    def _tell_urls(self, seconds: float) -> None:
        base = f"{self._api_url}/api/torghut/trading/control-plane/quant"
        lines = {
            "snapshot": f"{base}/snapshot?account=paper-crypto&window=1d"
            if self._simulates
            else f"{base}/snapshot?window=1d",
            "health": f"{base}/health",
            "API": f"{self._api_url}/docs",
            "SQL": f"{self.settings.warehouse_url()} (databases quant, torghut_raw, torghut)"
            if self.settings.embedded_warehouse
            else "",
            "Postgres": self.settings.source_dsn() if self.settings.embedded_source else "",
            "Dagster": f"http://127.0.0.1:{self.settings.dagster_port}" if self.dagster else "",
            "logs": str(self.settings.state_dir / "logs"),
        }
        self.console.print(f"\n[bold green]up[/] after {seconds:.0f} s; Ctrl-C stops everything", highlight=False)
        for name, value in lines.items():
            if value:
                self.console.print(f"  {name:<9} {value}", highlight=False, soft_wrap=True)


def _http_ok(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as response:
        return bool(response.status == 200)


def _reason(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
