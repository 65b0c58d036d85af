"""Trading of the past: what the desk would have written, session by session, one transaction each.

The source itself tells how far history reaches (the newest row of an account), so a run that was ended anywhere goes
on behind the last complete session, and a desk that was off for a night or a week fills the gap the same way.
"""

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import psycopg

from orchestration.desk import rows
from orchestration.desk.book import Book
from orchestration.desk.calendar import Calendar, ContinuousCalendar, Session, read_calendar
from orchestration.desk.clock import DAY, MINUTE, SECOND, now_us
from orchestration.desk.engine import Engine
from orchestration.desk.indicators import IndicatorBook
from orchestration.desk.instruments import AssetClass
from orchestration.desk.market import Market
from orchestration.desk.resume import close_orphans, last_activity, restore_book
from orchestration.desk.roster import ACCOUNTS, Account, copies
from orchestration.desk.rows import Row
from orchestration.desk.writer import Writer
from orchestration.errors import UserError
from orchestration.settings import PROJECT_DIR, Settings

logger = logging.getLogger(__name__)

OnProgress = Callable[[int, int, str], None]

# A shorter gap is left empty: the desk just goes on.
_SMALLEST_GAP = MINUTE
_LOCK = 7_310_448_201
_LOCK_SECONDS = 10.0


class Scene(NamedTuple):
    """The market that the desk trades in, its indicators, and who trades."""

    market: Market
    indicators: IndicatorBook
    accounts: tuple[Account, ...] = ACCOUNTS


class PickUp(NamedTuple):
    """Where an account goes on: its books at `us`, and whether a snapshot of that very moment is still missing."""

    book: Book
    us: int
    snapshot_due: bool


def scene(settings: Settings, equities: Calendar | None = None) -> Scene:
    """Return the market of the desk's seed; the calendar of US equities comes from the sessions seed unless given."""
    calendars: dict[AssetClass, Calendar] = {
        "us_equity": equities or read_calendar(PROJECT_DIR / "seeds" / "trading_sessions.csv", "XNYS"),
        "crypto": ContinuousCalendar(),
    }
    market = Market(settings.desk_seed, calendars)
    return Scene(market, IndicatorBook(market), copies(settings.desk_copies))


def write_history(settings: Settings, on_progress: OnProgress | None = None) -> int:
    """Write the trading between the newest row (or `desk_history_days` ago) and now; return the number of orders.

    Args:
        on_progress: called with (sessions done, sessions in all, what is written).

    Raises:
        UserError: the source is unreachable or without schema; another desk is writing to it.
    """
    from orchestration.source.connection import connect

    with connect(settings) as connection, only_desk(connection):
        return catch_up(connection, Writer(connection), scene(settings), settings.desk_history_days, on_progress)


@contextmanager
def only_desk(connection: psycopg.Connection) -> Iterator[None]:
    """Hold the lock of the one desk of a source while the body runs.

    Raises:
        UserError: another desk holds it.
    """
    deadline = time.monotonic() + _LOCK_SECONDS
    # A server that has just lost its client may hold the lock for a moment more.
    while not _locked(connection):
        if time.monotonic() > deadline:
            raise UserError("Another desk is already writing to this source.", "Stop it first.")
        time.sleep(0.2)
    try:
        yield
    finally:
        if not connection.closed and not connection.broken:
            connection.execute("select pg_advisory_unlock(%s)", (_LOCK,))


def catch_up(
    connection: psycopg.Connection,
    writer: Writer,
    stage: Scene,
    days: int,
    on_progress: OnProgress | None = None,
    now: Callable[[], int] = now_us,
) -> int:
    """Fill the gap between each account's newest row and now, at most `days` back; return the number of orders.

    Writing takes time, so what has passed meanwhile is filled too, until the gap is small.
    """
    orders = 0
    while True:
        end = now() - now() % MINUTE
        spans = {account.label: _gap(connection, account, end, days) for account in stage.accounts}
        if all(span is None for span in spans.values()):
            return orders
        started = time.monotonic()
        with connection.transaction():
            writer.upsert_strategies(
                [rows.strategy_row(s, a, end - days * DAY) for a in stage.accounts for s in a.strategies]
            )
        books: dict[str, Book] = {}
        chunks: list[tuple[int, int, Account, Session, bool]] = []
        for account in stage.accounts:
            span = spans[account.label]
            if span is None:
                continue
            start, newest = span
            calendar = stage.market.calendars[account.asset_class]
            close_orphans(connection, writer, account, calendar, start)
            books[account.label] = restore_book(connection, account, stage.market, start)
            for session in calendar.between(start, end):
                first = max(start, session.opens)
                # A continuous session begins with the snapshot that ended the one before.
                fresh = (newest is None and first == start) or (not calendar.continuous and first == session.opens)
                chunks.append((first, min(end, session.closes), account, session, fresh))
        chunks.sort(key=lambda chunk: (chunk[0], chunk[2].label))
        if not chunks:
            return orders
        written = 0
        # Postgres takes one session in while the next one is computed: a third less time than one after the other.
        with ThreadPoolExecutor(max_workers=1) as pool:
            writing: Future[None] | None = None
            for index, (first, last, account, session, fresh) in enumerate(chunks):
                if on_progress is not None:
                    on_progress(index, len(chunks), f"{session.day} {account.label}: {orders + written:,} orders")
                found = _chunk(writer, stage, account, books[account.label], session, first, last, fresh)
                written += len(found["executions"])
                if writing is not None:
                    writing.result()
                writing = pool.submit(_write, connection, writer, found)
            if writing is not None:
                writing.result()
        orders += written
        logger.info("history: %d sessions, %d orders in %.1f s", len(chunks), written, time.monotonic() - started)


def pick_up(connection: psycopg.Connection, writer: Writer, stage: Scene, account: Account, us: int) -> PickUp:
    """End what was left open and return where the account goes on, `us` or right behind its newest row."""
    calendar = stage.market.calendars[account.asset_class]
    closed = close_orphans(connection, writer, account, calendar, us)
    if closed:
        logger.info("%s: closed %d orders that an earlier run left open", account.label, closed)
    newest = last_activity(connection, account)
    start = us if newest is None else max(us, newest + 1)
    return PickUp(restore_book(connection, account, stage.market, start), start, newest is None or start > newest)


def _gap(connection: psycopg.Connection, account: Account, end: int, days: int) -> tuple[int, int | None] | None:
    """Return start of the account's gap before `end` and its newest row; None when there is no gap worth filling."""
    newest = last_activity(connection, account)
    earliest = end - days * DAY
    earliest -= earliest % DAY
    if days == 0:
        return None
    if newest is None or newest < earliest:
        return earliest, newest
    return (newest, newest) if end - newest >= _SMALLEST_GAP else None


def _write(connection: psycopg.Connection, writer: Writer, found: dict[str, list[Row]]) -> None:
    with connection.transaction():
        for table, new_rows in found.items():
            writer.copy(table, new_rows)


def _chunk(
    writer: Writer, stage: Scene, account: Account, book: Book, session: Session, first: int, last: int, fresh: bool
) -> dict[str, list[Row]]:
    """Return the rows of one session between `first` and `last`, by table; moves the book on."""
    pace = account.history_decisions / ((session.closes - session.opens) / SECOND)
    engine = Engine(
        account,
        stage.market,
        stage.indicators,
        book,
        start_us=first,
        rate=lambda _: pace,
        snapshot_seconds=account.history_snapshot_seconds,
        until_us=last,
        snapshot_at_start=fresh,
    )
    found: dict[str, list[Row]] = {
        "trade_decisions": [],
        "llm_decision_reviews": [],
        "executions": [],
        "execution_order_events": [],
        "execution_tca_metrics": [],
        "position_snapshots": [],
    }
    newest_snapshot = 0
    for change in engine.advance(last):
        if change.snapshot is not None:
            newest_snapshot = change.us
            found["position_snapshots"].append(rows.snapshot_row(change.snapshot))
            continue
        ticket = change.ticket
        assert ticket is not None
        if change.kind == "reviewed":
            found["llm_decision_reviews"].append(rows.review_row(ticket))
        elif change.kind == "refused":
            found["trade_decisions"].append(rows.decision_row(ticket))
        elif change.kind == "event" and ticket.order is not None:
            if writer.has("execution_order_events"):
                found["execution_order_events"].append(rows.event_row(change))
            if ticket.order.final:
                found["trade_decisions"].append(rows.decision_row(ticket))
                found["executions"].append(rows.execution_row(ticket))
                if writer.has("execution_tca_metrics"):
                    found["execution_tca_metrics"].append(rows.tca_row(ticket))
    if newest_snapshot < last:
        # The end of the chunk is where the next one, or the live desk, picks up.
        found["position_snapshots"].append(rows.snapshot_row(engine.value(last)))
    return found


def _locked(connection: psycopg.Connection) -> bool:
    row = connection.execute("select pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    return bool(row and row[0])
