"""The metrics of the pipeline: hand-worked cases, and random data against a computation point by point."""

import random
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import exchange_calendars
import pytest

from orchestration.transform.on_demand import sql_moment
from tests.oracles.world import FACTS, Order, World, after

D = Decimal
ROLLUPS = (
    "strategy_hour_refresh",
    "strategy_day_refresh",
    "position_hour_refresh",
    "symbol_hour_refresh",
    "symbol_hour_sweep_refresh",
    "holding_hour_refresh",
    "working_order_refresh",
    "context_review_refresh",
)
WINDOWS = ("1m", "5m", "15m", "1h", "1d", "5d", "20d")
STEPS = dict(zip(WINDOWS, (1, 5, 15, 60, 300, 1800, 1800), strict=True))
MINUTE = timedelta(minutes=1)
GRACE = timedelta(seconds=10)
FOREVER = datetime(2199, 1, 1, tzinfo=UTC)
# The session of New York around the scenarios' start, and a moment of the night behind it.
OPEN = datetime(2026, 3, 2, 14, 30, tzinfo=UTC)
CLOSE = datetime(2026, 3, 2, 21, 0, tzinfo=UTC)
NIGHT = datetime(2026, 3, 3, 3, 0, tzinfo=UTC)


def take_in(world: World, watermark: datetime | None = None) -> None:
    world.batch(watermark)
    world.tick(FACTS)
    world.tick(ROLLUPS)


def quotes(world: World, rows: Iterable[tuple[str, datetime]], ingested: datetime | None = None) -> None:
    """Quotes, which are signals as well."""
    world.client.insert(
        "ta_signals",
        [[symbol, at, 1, ingested or at, 9.0, 11.0] for symbol, at in rows],
        column_names=["symbol", "event_ts", "seq", "ingest_ts", "imbalance_bid_px", "imbalance_ask_px"],
        database="torghut",
    )


def signals(world: World, rows: Iterable[tuple[str, datetime]]) -> None:
    """Signals without a quote."""
    world.client.insert(
        "ta_signals",
        [[symbol, at, 2, at] for symbol, at in rows],
        column_names=["symbol", "event_ts", "seq", "ingest_ts"],
        database="torghut",
    )


def bars(world: World, rows: Iterable[tuple[str, datetime, datetime]]) -> None:
    world.client.insert(
        "ta_microbars",
        [[symbol, begins, ends, 1, ends, 10.0] for symbol, begins, ends in rows],
        column_names=["symbol", "event_ts", "window_end", "seq", "ingest_ts", "c"],
        database="torghut",
    )


def frames(world: World, as_of: datetime) -> dict[tuple[str, str, str, str], dict[str, Any]]:
    """The metrics at a moment by strategy, account, window and name."""
    found = world.frames(as_of, group="pipeline")
    return {(*scope, name): row for scope, rows in found.items() for name, row in rows.items()}


def frame(world: World, as_of: datetime, window: str = "1h", account: str = "paper") -> dict[str, dict[str, Any]]:
    found = frames(world, as_of)
    return {key[3]: row for key, row in found.items() if key[:3] == ("", account, window)}


def test_signals_are_as_old_as_those_of_the_worst_active_instrument(world: World) -> None:
    strategy = world.strategy("s")
    for symbol, age in [("MU", 5), ("GLD", 400), ("NVDA", 1)]:
        quotes(world, [(symbol, after(-age)), (symbol, after(10)), (symbol, after(-5000))])
    # Held since a former day; decided on in the session; decided on before it.
    world.order(Order("buy", D(1), D(10), after(-86400 * 3), decision=world.decision(strategy, after(-86400 * 3))))
    world.decision(strategy, after(-60), symbol="GLD")
    world.decision(strategy, after(-86400), symbol="NVDA")
    take_in(world)
    row = frame(world, after(0))["ta_freshness_seconds"]
    assert (row["value"], row["status"], row["reason"], row["sample_count"]) == (400, "ok", "", 2)
    assert '"stalest":[{"symbol":"GLD"' in row["meta"]
    assert '"freshest":[{"symbol":"MU"' in row["meta"]
    # Of another day: nothing was decided on in that session.
    assert frame(world, after(86400))["ta_freshness_seconds"]["value"] == 86390
    # An active instrument without any signal restricts the value and is named.
    world.decision(strategy, after(-50), symbol="DARK")
    take_in(world)
    row = frame(world, after(0))["ta_freshness_seconds"]
    assert (row["value"], row["reason"]) == (400, "no_source_rows")
    assert '"unseen_symbols":["DARK"]' in row["meta"]


def test_without_an_active_instrument_the_freshest_signal_counts_and_none_was_never_seen(world: World) -> None:
    world.snapshot(after(-30), D(100))
    take_in(world)
    row = frame(world, after(0))["ta_freshness_seconds"]
    assert (row["value"], row["status"], row["reason"]) == (None, "insufficient_data", "no_source_rows")
    quotes(world, [("MU", after(-90)), ("GLD", after(-7200))])
    take_in(world)
    assert frame(world, after(0))["ta_freshness_seconds"]["value"] == 90
    # Its age goes on growing, over nights as well.
    assert frame(world, after(3 * 86400))["ta_freshness_seconds"]["value"] == 3 * 86400 + 90


def test_a_context_ages_from_its_review_on(world: World) -> None:
    first, second = world.strategy("first"), world.strategy("second")
    for strategy, at, context in [
        (first, -300, {"freshness_seconds": 42.5}),
        (first, -100, {"as_of_utc": f"{after(-107):%Y-%m-%dT%H:%M:%SZ}"}),
        (first, 10, {"freshness_seconds": 0}),
        (second, -20, {"freshness_seconds": 1000}),
        (second, -10, {}),
    ]:
        decision = world.decision(strategy, after(at - 1))
        world.review(decision, after(at), {"market_context": context})
    world.snapshot(after(-30), D(100), account="silent")
    take_in(world)
    take_in(world)
    name = "context_freshness_seconds"
    found = frames(world, after(0))
    assert found[str(first), "paper", "1m", name]["value"] == 107
    assert found[str(second), "paper", "20d", name]["value"] == 1020
    # Of several strategies, the last review.
    assert found["", "paper", "1d", name]["value"] == 1020
    assert (found["", "silent", "1d", name]["value"], found["", "silent", "1d", name]["reason"]) == (
        None,
        "no_source_rows",
    )
    assert frames(world, after(-200))[str(first), "paper", "1m", name]["value"] == 142.5


def test_the_lag_is_the_mirrors_and_its_absence_is_an_error(world: World) -> None:
    world.snapshot(after(-30), D(100))
    take_in(world, watermark=after(-7.5))
    name = "metrics_pipeline_lag_seconds"
    assert frame(world, after(0))[name]["value"] == 7.5
    # Of a moment up to which everything is here, however long ago anything happened.
    assert frame(world, after(-10))[name]["value"] == 0
    world.client.command("truncate table torghut_raw.mirror_checkpoint")
    row = frame(world, after(0))[name]
    assert (row["value"], row["status"], row["reason"]) == (None, "error", "no_watermark")


def test_a_price_is_missing_where_something_is_held_or_ordered_and_no_mark_is_there(world: World) -> None:
    # Held from 14:40:30 to 14:50, ordered from 14:45 to 14:55:30, in another instrument for a moment.
    world.order(Order("buy", D(1), D(10), OPEN + 10.5 * MINUTE))
    world.order(Order("sell", D(1), D(10), OPEN + 20 * MINUTE))
    world.order(
        Order("buy", D(1), None, OPEN + 25.5 * MINUTE, filled=D(0), status="canceled"), created_at=OPEN + 15 * MINUTE
    )
    world.order(Order("buy", D(1), D(10), OPEN + 3.7 * MINUTE, symbol="GLD"), created_at=OPEN + 3.2 * MINUTE)
    world.order(Order("sell", D(1), D(10), OPEN + 3.9 * MINUTE, symbol="GLD"))
    # Marked at 14:41 to 14:43 and at 14:47: a quote, and a bar that begins and ends at full minutes.
    quotes(world, [("MU", OPEN + 10.6 * MINUTE), ("MU", OPEN + 11.99 * MINUTE), ("MU", OPEN + 13 * MINUTE)])
    bars(world, [("MU", OPEN + 16 * MINUTE, OPEN + 17 * MINUTE)])
    take_in(world)
    row = frame(world, OPEN + 40 * MINUTE)["missing_price_rate"]
    # 14:41 to 14:55 are expected; 41, 42, 43, 44 and 47 are there.
    assert (row["sample_count"], row["value"]) == (15, pytest.approx(10 / 15))
    assert '"worst":[{"symbol":"MU","missing":10}]' in row["meta"]
    # By the second: from 14:45:01 on it was ordered, with a quote that is known until 14:44.
    row = frame(world, OPEN + 16 * MINUTE, "1m")["missing_price_rate"]
    assert (row["sample_count"], row["value"]) == (60, 1)
    row = frame(world, OPEN + 14.5 * MINUTE, "1m")["missing_price_rate"]
    assert (row["sample_count"], row["value"]) == (60, 0.5)


def test_windows_without_pairs_or_outside_the_session_say_so(world: World) -> None:
    world.order(Order("buy", D(1), D(10), after(0)))
    world.snapshot(after(-30), D(100), account="idle")
    take_in(world)

    def reasons(as_of: datetime, window: str, account: str) -> tuple[str, str]:
        found = frame(world, as_of, window, account)
        rows = [found[name] for name in ("missing_price_rate", "missing_signal_rate")]
        assert all((row["value"] is None) == (row["reason"] != "") for row in rows)
        return (rows[0]["reason"], rows[1]["reason"])

    assert reasons(after(60), "1h", "paper") == ("", "")
    assert reasons(after(60), "1h", "idle") == ("no_source_rows", "no_source_rows")
    assert reasons(NIGHT, "1h", "paper") == ("out_of_session", "out_of_session")
    assert reasons(NIGHT, "1d", "paper") == ("", "")
    assert reasons(NIGHT, "1h", "idle") == ("out_of_session", "out_of_session")


def test_a_minute_is_expected_when_its_time_is_up_and_late_rows_fill_it(world: World) -> None:
    world.order(Order("buy", D(1), D(10), OPEN))
    signals(world, [("MU", OPEN + MINUTE * number) for number in range(30) if number not in (3, 4, 29)])
    signals(world, [("GLD", OPEN + MINUTE * number) for number in range(30)])
    take_in(world)

    def coverage(as_of: datetime, window: str = "1h") -> tuple[int, int]:
        row = frame(world, as_of, window)["missing_signal_rate"]
        return row["sample_count"], round((row["value"] or 0) * row["sample_count"])

    assert coverage(OPEN + 29 * MINUTE + timedelta(seconds=9)) == (28, 2)
    assert coverage(OPEN + 29 * MINUTE + timedelta(seconds=10)) == (29, 2)
    assert coverage(OPEN + 30 * MINUTE + timedelta(seconds=10)) == (30, 3)
    # A minute that stamps its last moment belongs to it, a full minute to the next one.
    quotes(world, [("MU", OPEN + 30 * MINUTE - timedelta(milliseconds=1))], ingested=OPEN + 31 * MINUTE)
    quotes(world, [("MU", OPEN + 3 * MINUTE)], ingested=OPEN + 32 * MINUTE)
    world.tick(ROLLUPS)
    assert coverage(OPEN + 30 * MINUTE + timedelta(seconds=10)) == (30, 1)
    # The last minute of the session counts in the window in which its time was up.
    assert coverage(CLOSE + timedelta(seconds=10), "1m") == (1, 1)
    assert frame(world, CLOSE + timedelta(seconds=70), "1m")["missing_signal_rate"]["reason"] == "out_of_session"


def test_rows_that_come_days_late_are_found_by_the_sweep(world: World) -> None:
    world.order(Order("buy", D(1), D(10), OPEN))
    signals(world, [("MU", OPEN + timedelta(days=5))])
    take_in(world)
    quotes(world, [("MU", OPEN + 10 * MINUTE)], ingested=OPEN + timedelta(days=5, minutes=1))
    world.tick(["symbol_hour_refresh"])
    as_of = OPEN + timedelta(hours=1)
    assert frame(world, as_of)["missing_signal_rate"]["value"] == pytest.approx(1)
    world.tick(["symbol_hour_sweep_refresh"])
    assert frame(world, as_of)["missing_signal_rate"]["value"] == pytest.approx(58 / 59)


class Past:
    """Random positions, orders, quotes, bars and signals of two strategies on two accounts, and what follows."""

    # Up to Thanksgiving, the early close behind it and the Monday after.
    SESSIONS = tuple(
        (opens.to_pydatetime(), closes.to_pydatetime())
        for opens, closes in exchange_calendars.get_calendar("XNYS", start="2025-10-01", end="2025-12-01")
        .schedule[["open", "close"]]
        .itertuples(index=False)
    )
    ACCOUNTS = ("paper", "paper-crypto")
    SYMBOLS = ("MU", "GLD", "BTC/USD", "DARK")

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.strategies = [world.strategy(name) for name in ("first", "second")]
        self.keys = [
            (str(strategy), account, symbol)
            for strategy in self.strategies
            for account in self.ACCOUNTS
            for symbol in self.SYMBOLS
        ]
        self.fills: dict[tuple[str, str, str], list[tuple[datetime, int]]] = {key: [] for key in self.keys}
        self.orders: dict[tuple[str, str, str], list[tuple[datetime, datetime]]] = {key: [] for key in self.keys}
        self.decided: dict[tuple[str, str, str], list[datetime]] = {key: [] for key in self.keys}
        self.marks: dict[str, list[tuple[datetime, datetime]]] = {symbol: [] for symbol in self.SYMBOLS}
        self.signals: dict[str, list[datetime]] = {symbol: [] for symbol in self.SYMBOLS}
        # What was looked up before.
        self.known: dict[tuple[Any, ...], bool] = {}
        self.minutes: dict[tuple[str, datetime, datetime], set[datetime]] = {}

    def moment(self, begins: datetime, ends: datetime) -> datetime:
        """Any moment between, often a full second or minute."""
        at = begins + timedelta(milliseconds=self.random.randint(0, round((ends - begins).total_seconds() * 1000)))
        return self.random.choice([at, at, at.replace(microsecond=0), at.replace(second=0, microsecond=0)])

    def trade(self, count: int, begins: datetime, ends: datetime) -> None:
        """Positions that open and close, and orders that wait."""
        for key in self.keys:
            for number, at in enumerate(
                sorted(self.moment(begins, ends) for _ in range(self.random.randint(0, count)))
            ):
                side = "buy" if number % 2 == 0 else "sell"
                self.world.order(Order(side, D(1), D(10), at, *key[1:], decision=self.decide(key, at)))
                self.fills[key].append((at, 1 if side == "buy" else -1))
            if self.random.random() < 0.5:
                begun, ended = sorted(self.moment(begins, ends) for _ in range(2))
                status = self.random.choice(["canceled", "expired", "new"])
                decision = self.decide(key, begun)
                order = Order("buy", D(1), None, ended, *key[1:], decision=decision, filled=D(0), status=status)
                self.world.order(order, created_at=begun)
                self.orders[key].append((begun, FOREVER if status == "new" else ended))

    def decide(self, key: tuple[str, str, str], at: datetime) -> uuid.UUID:
        self.decided[key].append(at)
        return self.world.decision(uuid.UUID(key[0]), at, alpaca_account_label=key[1], symbol=key[2])

    def quote(self, count: int, begins: datetime, ends: datetime) -> None:
        """Bursts of quotes, bars and signals; nothing of the last instrument."""
        for symbol in self.SYMBOLS[:-1]:
            for _ in range(count):
                at, gap = self.moment(begins, ends), self.random.randint(1, 70)
                burst = [at + timedelta(seconds=gap * number) for number in range(20)]
                kind = self.random.choice(["quotes", "bars", "signals"])
                if kind == "bars":
                    length = timedelta(seconds=self.random.choice([1, 10, 60, 300]))
                    bars(self.world, [(symbol, moment - length, moment) for moment in burst])
                    self.marks[symbol] += [(moment - length, moment) for moment in burst]
                    continue
                (quotes if kind == "quotes" else signals)(self.world, [(symbol, moment) for moment in burst])
                self.signals[symbol] += burst
                if kind == "quotes":
                    self.marks[symbol] += [(moment, moment) for moment in burst]

    def sessions(self, account: str, as_of: datetime) -> list[tuple[datetime, datetime]]:
        """Sessions of the account's calendar that opened by a moment."""
        if account == "paper":
            return [session for session in self.SESSIONS if session[0] <= as_of]
        day = datetime(2025, 10, 1, tzinfo=UTC)
        days = [day + timedelta(days=number) for number in range((as_of - day).days + 1)]
        return [(day, day + timedelta(days=1)) for day in days]

    def is_open(self, key: tuple[str, str, str], at: datetime) -> bool:
        return sum(change for moment, change in self.fills[key] if moment <= at) != 0

    def is_held(self, key: tuple[str, str, str], at: datetime) -> bool:
        if (key, at) not in self.known:
            is_ordered = any(begun <= at < ended for begun, ended in self.orders[key])
            self.known[key, at] = is_ordered or self.is_open(key, at)
        return self.known[key, at]

    def is_marked(self, symbol: str, at: datetime, opens: datetime, closed_before: datetime) -> bool:
        if (symbol, at, opens) not in self.known:
            # In the first minute of a session, the rest of the minute is that before the close.
            left = MINUTE - (at - opens)
            self.known[symbol, at, opens] = any(
                (begins >= at - MINUTE and known <= at)
                or (left > timedelta(0) and begins >= closed_before - left and known <= closed_before)
                for begins, known in self.marks[symbol]
            )
        return self.known[symbol, at, opens]

    def keys_of(self, strategy: str, account: str, symbol: str) -> list[tuple[str, str, str]]:
        return [key for key in self.keys if key[0] in (strategy or key[0],) and key[1:] == (account, symbol)]

    def prices(self, strategy: str, account: str, window: str, start: datetime, as_of: datetime) -> tuple[int, int]:
        """Pairs of instrument and point on an account, and those without a mark."""
        expected = missing = 0
        closed_before = datetime(2025, 1, 1, tzinfo=UTC)
        for opens, closes in self.sessions(account, as_of):
            first = 1 if opens > start else 1 + int((start - opens).total_seconds()) // STEPS[window]
            for number in range(first, 1 + int((min(closes, as_of) - opens).total_seconds()) // STEPS[window]):
                at = opens + timedelta(seconds=number * STEPS[window])
                for symbol in self.SYMBOLS:
                    keys = self.keys_of(strategy, account, symbol)
                    if any(self.is_held(key, at) for key in keys):
                        expected += 1
                        missing += not self.is_marked(symbol, at, opens, closed_before)
            closed_before = closes
        return expected, missing

    def watched(self, strategy: str, account: str, as_of: datetime) -> list[str]:
        """Instruments that are open, or were decided on in the last session."""
        opened = self.sessions(account, as_of)[-1][0]
        return [
            symbol
            for symbol in self.SYMBOLS
            if any(
                self.is_open(key, as_of) or any(opened <= at <= as_of for at in self.decided[key])
                for key in self.keys_of(strategy, account, symbol)
            )
        ]

    def silences(self, strategy: str, account: str, start: datetime, as_of: datetime) -> tuple[int, int]:
        """Minutes of the watched instruments whose time was up in the window, and those without a signal."""
        if (account, start, as_of) not in self.minutes:
            self.minutes[account, start, as_of] = {
                opens + number * MINUTE
                for opens, closes in self.sessions(account, as_of)
                if closes > start - MINUTE
                for number in range(int((closes - opens).total_seconds()) // 60)
                if start < opens + (number + 1) * MINUTE + GRACE <= as_of
            }
        minutes, watched = self.minutes[account, start, as_of], self.watched(strategy, account, as_of)
        seen = {symbol: {at.replace(second=0, microsecond=0) for at in self.signals[symbol]} for symbol in watched}
        return len(watched) * len(minutes), sum(len(minutes - seen[symbol]) for symbol in watched)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_random_data_point_by_point(world: World, seed: int) -> None:
    past = Past(world, seed)
    (opened, _), (_, early), (monday, last) = past.SESSIONS[-3:]
    moments = [
        opened + timedelta(hours=2, seconds=13.25),
        early + timedelta(seconds=5),
        early + timedelta(minutes=7),
        datetime(2025, 11, 29, 12, 0, 30, tzinfo=UTC),
        monday + timedelta(seconds=37.5),
        monday + timedelta(minutes=8, seconds=1),
        monday + timedelta(hours=3),
    ]
    past.trade(5, opened, last)
    for moment in moments:
        past.trade(2, moment - timedelta(minutes=20), moment)
        past.quote(2, moment - timedelta(minutes=75), moment + timedelta(minutes=3))
    past.quote(3, early - timedelta(minutes=4), early)
    past.quote(6, opened, last)
    take_in(world)
    take_in(world)
    # Fills and orders of before come late, and of what is there already, the rows stay.
    past.trade(2, opened, monday)
    take_in(world)
    for moment in moments:
        found = frames(world, moment)
        starts = {(key[1], key[2]): row["window_start"] for key, row in found.items() if key[0] == "" and key[1]}
        for window in WINDOWS:
            for strategy in ("", *map(str, past.strategies)):
                prices = [
                    past.prices(strategy, account, window, starts[account, window], moment) for account in past.ACCOUNTS
                ]
                silences = [
                    past.silences(strategy, account, starts[account, window], moment) for account in past.ACCOUNTS
                ]
                for account, price, silence in [
                    *zip(past.ACCOUNTS, prices, silences, strict=True),
                    # Calendars have points of their own, so the accounts add up.
                    ("", *(tuple(map(sum, zip(*pairs, strict=True))) for pairs in (prices, silences))),
                ]:
                    place = (moment, window, strategy, account)
                    for name, (expected, missing) in [("missing_price_rate", price), ("missing_signal_rate", silence)]:
                        row = found[strategy, account, window, name]
                        assert row["sample_count"] == expected, (place, name)
                        assert row["value"] == (pytest.approx(missing / expected) if expected else None), (place, name)
        for account in past.ACCOUNTS:
            ages = [
                (moment - max(at for at in past.signals[symbol] if at <= moment)).total_seconds()
                for symbol in past.watched("", account, moment)
                if any(at <= moment for at in past.signals[symbol])
            ]
            value = found["", account, "1m", "ta_freshness_seconds"]["value"]
            if ages:
                assert value == pytest.approx(max(ages), abs=0.0015)
    # What a person asks says the same.
    columns = "strategy_id, account, window, metric_name, value, reason, sample_count, meta"
    asked = world.client.query(
        f"select {columns} from quant.pipeline_metrics(as_of = {{as_of:String}}, known_at = now64(3))",
        parameters={"as_of": sql_moment(moment)},
    ).named_results()
    assert sorted(map(str, asked)) == sorted(
        str({name: row[name] for name in columns.split(", ")}) for row in found.values()
    )
