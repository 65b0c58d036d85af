"""The TA pipeline's tables: a row per symbol and second while live, per minute for the time before, in ClickHouse.

Rows are a function of (seed, time), so nothing is buffered: whatever is missing is computed again and inserted.
"""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from orchestration.desk.clock import DAY, MINUTE, SECOND, now_us, to_datetime
from orchestration.desk.history import Scene
from orchestration.desk.instruments import INSTRUMENTS, Instrument
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

TABLES = ("ta_microbars", "ta_signals")
_COMMON = (
    "symbol", "event_ts", "seq", "ingest_ts", "is_final", "source", "window_size", "window_step", "window_start",
    "window_end", "version",
)  # fmt: skip
COLUMNS = {
    "ta_microbars": (*_COMMON, "o", "h", "l", "c", "v", "vwap", "count"),
    "ta_signals": (
        *_COMMON, "macd", "macd_signal", "macd_hist", "ema12", "ema26", "rsi14", "boll_mid", "boll_upper",
        "boll_lower", "vwap_session", "vwap_w5m", "imbalance_spread", "imbalance_bid_px", "imbalance_ask_px",
        "imbalance_bid_sz", "imbalance_ask_sz", "vol_realized_w60s",
    ),
}  # fmt: skip
# What an outage of the warehouse leaves out beyond this is filled at the next start, by the minute.
_LONGEST_CATCH_UP = 600 * SECOND
_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0

_Rows = list[tuple[Any, ...]]


class TaFeed:
    """Writes the TA tables in a thread of its own, so that a slow or absent warehouse does not hold up trading."""

    def __init__(self, settings: Settings, stage: Scene) -> None:
        self._settings = settings
        self._stage = stage
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ta", daemon=True)

    def start(self) -> None:
        """Begin to write, from now on live and for the time before by the minute."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it is a daemon, an insert that hangs does not keep the process."""
        self._stopped.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        written = now_us() // SECOND * SECOND
        history_until = written
        retry = _FIRST_RETRY_SECONDS
        reported = False
        while not self._stopped.is_set():
            try:
                client = self._connect()
                try:
                    missing = self._missing_days(client, history_until)
                    while not self._stopped.is_set():
                        written = self._write_seconds(client, written)
                        reported, retry = False, _FIRST_RETRY_SECONDS
                        if missing:
                            self._write_day(client, missing.pop(), history_until)
                        else:
                            self._stopped.wait((SECOND - now_us() % SECOND) / SECOND)
                finally:
                    client.close()
            except Exception as error:
                # Whatever the warehouse's trouble is, the desk goes on; the reason is told once per outage.
                if not reported:
                    logger.warning("TA rows wait for the warehouse: %s", str(error).splitlines()[0])
                    reported = True
                self._stopped.wait(retry)
                retry = min(retry * 2, _LAST_RETRY_SECONDS)

    def _connect(self) -> Client:
        from orchestration.warehouse.client import connect

        client = connect(self._settings, send_receive_timeout=30)
        try:
            create_tables(client)
        except BaseException:
            client.close()
            raise
        return client

    def _write_seconds(self, client: Client, written: int) -> int:
        """Write the whole seconds after `written`; return the last one written."""
        now = now_us() // SECOND * SECOND
        first = max(written + SECOND, now - _LONGEST_CATCH_UP)
        moments = range(first, now + 1, SECOND)
        if moments:
            insert(client, self._stage, INSTRUMENTS.values(), moments, SECOND)
        return max(now, written)

    def _missing_days(self, client: Client, until: int) -> list[int]:
        """Return the days whose minute rows are incomplete, the newest last."""
        days = self._settings.desk_history_days
        first = (until - days * DAY) // DAY * DAY
        found: list[dict[int, int]] = []
        for table in TABLES:
            rows = client.query(
                "select toUnixTimestamp(toDateTime(toDate(event_ts), 'UTC')) as day,"
                " uniqExact(symbol, toStartOfMinute(event_ts)) as minutes"
                f" from torghut.{table} where event_ts >= toDateTime64({{first:Int64}}, 3, 'UTC') group by day",
                parameters={"first": first // SECOND},
            ).result_rows
            found.append({int(day) * SECOND: int(minutes) for day, minutes in rows})
        return [
            day
            for day in range(first, until, DAY)
            if min(minutes.get(day, 0) for minutes in found)
            < sum(self._minutes(instrument, day, until) for instrument in INSTRUMENTS.values())
        ]

    def _write_day(self, client: Client, day: int, until: int) -> None:
        insert(client, self._stage, INSTRUMENTS.values(), range(day, min(day + DAY, until), MINUTE), MINUTE)

    def _minutes(self, instrument: Instrument, day: int, until: int) -> int:
        """Return how many minute marks before `until` the instrument's session has on a day."""
        sessions = self._stage.market.calendars[instrument.asset_class].between(day, day + DAY)
        return len(range(sessions[0].opens, min(sessions[0].closes, until), MINUTE)) if sessions else 0


def create_tables(client: Client) -> None:
    """Create database and tables where they are missing."""
    for statement in Path(__file__).with_name("ta_tables.sql").read_text(encoding="utf-8").split(";\n"):
        if statement.strip():
            client.command(statement)


def insert(client: Client, stage: Scene, instruments: Iterable[Instrument], moments: Iterable[int], step: int) -> None:
    """Insert bars and signals of the instruments whose market is open at each of `moments`, bars of `step` length."""
    bars: _Rows = []
    signals: _Rows = []
    ingest = to_datetime(now_us())
    open_at = [(instrument, stage.market.calendars[instrument.asset_class]) for instrument in instruments]
    for us in moments:
        common = (to_datetime(us), us // SECOND, ingest, 1, "ta", "PT1S" if step == SECOND else "PT1M", None)
        window = (to_datetime(us - step), common[0], 1)
        for instrument, calendar in open_at:
            if calendar.at(us) is not None:
                head = (instrument.symbol, *common, *window)
                bars.append(head + _bar(stage, instrument, us, step))
                signals.append(head + _signal(stage, instrument, us))
    for table, rows in (("ta_microbars", bars), ("ta_signals", signals)):
        if rows:
            client.insert(
                table,
                rows,
                column_names=COLUMNS[table],
                column_oriented=False,
                database="torghut",
                settings={"async_insert": 0},
            )


def _bar(stage: Scene, instrument: Instrument, us: int, step: int) -> tuple[Any, ...]:
    market = stage.market
    session = market.calendars[instrument.asset_class].at(us)
    assert session is not None
    begin = max(us - step, session.opens)
    minute = min((begin - session.opens) // MINUTE, (session.closes - session.opens) // MINUTE - 1)
    volume = market.volumes(instrument.symbol, session)[minute] * step / MINUTE
    opening, closing = market.mid(instrument.symbol, begin), market.mid(instrument.symbol, us)
    # A bar's range beyond its body is of the order of its own volatility.
    reach = opening * market.second_volatility(instrument.symbol, session, minute) * (step / SECOND) ** 0.5 * 0.4
    high, low = max(opening, closing) + reach, min(opening, closing) - reach
    return (
        round(opening, 4),
        round(high, 4),
        round(low, 4),
        round(closing, 4),
        round(volume, 6),
        round((opening + closing + high + low) / 4, 4),
        1 + int(volume * opening / 20_000),
    )


def _signal(stage: Scene, instrument: Instrument, us: int) -> tuple[Any, ...]:
    now = stage.indicators.at(instrument.symbol, us)
    quote = stage.market.quote(instrument.symbol, us)
    return (
        round(now.macd, 6),
        round(now.macd_signal, 6),
        round(now.macd - now.macd_signal, 6),
        round(now.ema12, 6),
        round(now.ema26, 6),
        round(now.rsi14, 4),
        round(now.boll_mid, 6),
        round(now.boll_mid + 2 * now.boll_width, 6),
        round(now.boll_mid - 2 * now.boll_width, 6),
        round(now.vwap_session, 6),
        round(now.vwap_w5m, 6),
        float(quote.ask - quote.bid),
        float(quote.bid),
        float(quote.ask),
        quote.bid_size,
        quote.ask_size,
        round(now.volatility_w60s, 8),
    )
