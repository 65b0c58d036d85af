"""What `up` shows while it works: one line per step, live on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

# Without a terminal a running step repeats itself this often, so that a log shows that work goes on.
PLAIN_INTERVAL_SECONDS = 5.0


class Step:
    """One step in progress. `update` tells how far it is; `done` is the line that stays, `late` that it goes on."""

    def __init__(self, steps: "Steps", name: str, doing: str) -> None:
        self.name = name
        self.done = doing
        self.late = False
        self._steps = steps
        self._started = self._told = time.monotonic()
        self._task: TaskID | None = None
        if steps.live:
            self._task = steps.progress.add_task(doing, total=None, step=name)
        else:
            steps.console.print(f"{name:<10} {escape(doing)} ...", highlight=False, soft_wrap=True)

    def update(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Show `text`, and how much of the work is done when that is known."""
        if self._task is not None:
            self._steps.progress.update(self._task, description=escape(text), completed=done or 0, total=total)
        elif time.monotonic() - self._told >= PLAIN_INTERVAL_SECONDS:
            self._told = time.monotonic()
            share = f" {done / total:.0%}" if done is not None and total else ""
            self._steps.console.print(f"{self.name:<10} {escape(text)}{share}", highlight=False, soft_wrap=True)

    def finish(self, ok: bool) -> None:
        """Replace the progress by the line that stays."""
        if self._task is not None:
            self._steps.progress.remove_task(self._task)
        seconds = time.monotonic() - self._started
        mark = "[red]failed[/]" if not ok else "[yellow]late[/]  " if self.late else "[green]ok[/]    "
        self._steps.console.print(
            f"{mark} [bold]{self.name:<10}[/] {escape(self.done)} [dim]({seconds:.1f} s)[/]",
            highlight=False,
            soft_wrap=True,
        )


class Steps:
    """The steps of one run; a context manager, so that the terminal is restored whatever happens."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = console.is_terminal
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.fields[step]:<10}"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )

    def __enter__(self) -> "Steps":
        if self.live:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.progress.stop()

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[Step]:
        """Show a step while the body runs. The body may set `step.done` to the line that should stay."""
        step = Step(self, name, doing)
        try:
            yield step
        except BaseException:
            step.finish(ok=False)
            raise
        step.finish(ok=True)
