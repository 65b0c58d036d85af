"""The command `jangar-quant desk`: history up to now, then live trading, until stopped."""

import logging
import sys
import time

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from orchestration.errors import UserError
from orchestration.logs import configure_logging
from orchestration.settings import Settings, get_settings

logger = logging.getLogger(__name__)

# Without a terminal, progress is a log line this often.
_LOG_SECONDS = 2.0


def desk(
    rate: float | None = typer.Option(
        None, min=0.001, max=10_000, help="Decisions per second over all open markets. Default: JANGAR_QUANT_DESK_RATE."
    ),
    allow_external: bool = typer.Option(
        False, "--allow-external", help="Write simulated trades even into the Postgres that TORGHUT_DB_DSN names."
    ),
) -> None:
    """Simulate a trading desk: some weeks of history at the first start, then live orders until stopped."""
    settings = get_settings()
    configure_logging("desk", settings.log_level)
    if not settings.embedded_source and not allow_external:
        raise UserError(
            "TORGHUT_DB_DSN is set, and the simulated desk does not write into a source that may be a real Torghut.",
            "Unset it to use the embedded Postgres, or pass --allow-external if that database is for tests only.",
        )
    # The drivers tell every failed attempt; the desk tells an outage once.
    for name in ("urllib3.connectionpool", "clickhouse_connect", "psycopg"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        _run(settings, rate or settings.desk_rate)
    except KeyboardInterrupt:
        logger.info("stopped")


def _run(settings: Settings, rate: float) -> None:
    from orchestration.desk.history import scene
    from orchestration.desk.live import Stop, run
    from orchestration.desk.ta import TaFeed

    stop = Stop()
    stop.install()
    stage = scene(settings)
    feed = None
    if settings.ta_clickhouse_url is None:
        feed = TaFeed(settings, scene(settings))
        feed.start()
    else:
        logger.info("TORGHUT_TA_CLICKHOUSE_URL is set: TA rows are its owner's to write")
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("history"),
        BarColumn(bar_width=30),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    task = None
    told = time.monotonic()

    def on_progress(done: int, total: int, what: str) -> None:
        nonlocal task, told
        stop.check()
        if progress.disable:
            if time.monotonic() - told >= _LOG_SECONDS:
                told = time.monotonic()
                logger.info("history %d of %d sessions: %s", done, total, what)
            return
        if task is None:
            progress.start()
            task = progress.add_task(what, total=total)
        progress.update(task, completed=done + 1, total=total, description=what)
        if done + 1 == total:
            progress.stop()

    try:
        run(settings, stage, rate, stop, on_progress)
    finally:
        progress.stop()
        if feed is not None:
            feed.stop()
