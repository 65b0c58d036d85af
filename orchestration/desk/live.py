"""Trading in real time: each change is written when its moment comes, one transaction each, as Torghut does.

All state is rebuilt from the source whenever the connection is new, so a restart of the desk, of Postgres, or a
suspended machine are one and the same case.
"""

import heapq
import logging
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

import psycopg

from orchestration.desk.clock import SECOND, now_us, to_datetime
from orchestration.desk.engine import Engine
from orchestration.desk.history import OnProgress, Scene, catch_up, only_desk, pick_up
from orchestration.desk.roster import Account
from orchestration.desk.rows import strategy_row
from orchestration.desk.writer import Writer, statements
from orchestration.errors import UserError
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

# Beyond this many decisions per second a transaction takes all changes of a tick: one commit per change costs a disk
# flush each, which limits a desktop disk to some hundred per second.
_BATCH_ABOVE = 20.0
_TICK_SECONDS = 0.02
# A desk that has fallen behind catches up in transactions of this much trading: a backlog of two minutes at 500
# decisions/s in one transaction took 700 MB.
_LONGEST_BATCH = SECOND
# An idle desk looks at the clock this often.
_IDLE_SECONDS = 0.5
# After such a pause (a suspended machine, a stuck disk) the past is filled as history instead of replayed live.
_LOST_TIME = 120 * SECOND
_FIRST_RETRY_SECONDS = 0.25
_LAST_RETRY_SECONDS = 2.0


class Stop:
    """SIGTERM as an interrupt that cannot get lost.

    The interrupt ends a wait for the database at once, but libpq's clean-up may raise an error of its own in its
    place; the flag still tells why.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()

    def install(self) -> None:
        """Take SIGTERM and Ctrl-C; only in the main thread."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)

    def check(self) -> None:
        """Raise KeyboardInterrupt when the process has been asked to stop."""
        if self._asked.is_set():
            raise KeyboardInterrupt

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self._asked.set()
        raise KeyboardInterrupt


def run(settings: Settings, stage: Scene, rate: float, stop: Stop, on_progress: OnProgress | None = None) -> None:
    """Trade until a signal ends the process. A source that goes away is awaited.

    Raises:
        KeyboardInterrupt: a signal came.
        UserError: the source cannot be reached at the start, has no schema, or another desk is writing to it.
    """
    from orchestration.source.connection import connect

    reached = False
    retry = _FIRST_RETRY_SECONDS
    while True:
        try:
            with connect(settings, connect_timeout=5) as connection, only_desk(connection):
                reached, retry = True, _FIRST_RETRY_SECONDS
                _trade(connection, stage, rate, settings.desk_history_days, stop, on_progress)
        except (psycopg.OperationalError, psycopg.InterfaceError, UserError) as error:
            stop.check()
            if not reached:
                raise
            if retry == _FIRST_RETRY_SECONDS:
                logger.warning("the source is gone, waiting for it: %s", str(error).splitlines()[0])
            time.sleep(retry)
            retry = min(retry * 2, _LAST_RETRY_SECONDS)


def shared_rate(stage: Scene, account: Account, total: float) -> Callable[[int], float]:
    """Return the account's part of `total` decisions per second: equal parts over the strategies of open markets."""

    def rate(us: int) -> float:
        trading = [
            a for a in stage.accounts if a is account or stage.market.calendars[a.asset_class].at(us) is not None
        ]
        return total * len(account.strategies) / sum(len(a.strategies) for a in trading)

    return rate


def _trade(
    connection: psycopg.Connection,
    stage: Scene,
    total_rate: float,
    days: int,
    stop: Stop,
    on_progress: OnProgress | None,
) -> None:
    """Fill the gap up to now, then trade; returns when the clock has run away and the gap is to be filled again."""
    writer = Writer(connection)
    catch_up(connection, writer, stage, days, on_progress)
    now = now_us()
    with connection.transaction():
        writer.upsert_strategies([strategy_row(s, a, now) for a in stage.accounts for s in a.strategies])
    engines = [_engine(connection, writer, stage, account, total_rate, now) for account in stage.accounts]
    logger.info("live at %g decisions/s from %s", total_rate, to_datetime(now).isoformat(timespec="seconds"))
    batched = total_rate > _BATCH_ABOVE
    while True:
        stop.check()
        now = now_us()
        due = [engine.next_us for engine in engines if engine.next_us is not None]
        if due and now - min(due) > _LOST_TIME:
            logger.warning("%.0f s have passed without trading; filling them", (now - min(due)) / SECOND)
            return
        until = min(now, min(due) + _LONGEST_BATCH) if due else now
        changes = heapq.merge(*(engine.advance(until) for engine in engines), key=lambda change: change.us)
        if batched:
            with connection.pipeline(), connection.transaction():
                writer.write(statement for change in changes for statement in statements(change))
        else:
            for change in changes:
                with connection.transaction():
                    writer.write(statements(change))
        wait = (min(due) - now_us()) / SECOND if due else _IDLE_SECONDS
        time.sleep(min(max(wait, _TICK_SECONDS if batched else 0.0), _IDLE_SECONDS))


def _engine(
    connection: psycopg.Connection, writer: Writer, stage: Scene, account: Account, total_rate: float, now: int
) -> Engine:
    start = pick_up(connection, writer, stage, account, now)
    return Engine(
        account,
        stage.market,
        stage.indicators,
        start.book,
        start_us=start.us,
        rate=shared_rate(stage, account, total_rate),
        snapshot_seconds=account.snapshot_seconds,
        snapshot_at_start=start.snapshot_due,
    )
