"""Cases that others publish, replayed as facts, from mirrored rows to frames: published_cases.yaml tells both ends."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any, NamedTuple

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from orchestration.settings import PROJECT_DIR
from tests.oracles.world import Order, World

D = Decimal
Case = dict[str, Any]
Frame = dict[str, dict[str, Any]]

PUBLISHED = yaml.safe_load((PROJECT_DIR / "tests/oracles/published_cases.yaml").read_text())
# By the name of the account that replays the case.
CASES: dict[str, Case] = {
    f"{source['repository'].split('/')[1]}: {case['name']}": case
    for source in PUBLISHED["sources"]
    for case in source["cases"]
}
END = datetime(2026, 3, 4, 18, 0, tzinfo=UTC)
# The shortest window that has a Calmar ratio. Stamps divide it evenly, whatever time lay between them.
WINDOW, WINDOW_SECONDS = "5d", 5 * 86_400
YEAR_SECONDS = 365 * 86_400
START = D(1_000_000)
# They grow with the square root of the periods per year.
ROOTS = {
    "volatility_annualized",
    "downside_volatility_annualized",
    "sharpe_annualized",
    "sortino_annualized",
}
LEDGER_NAMES = {"average_cost", "fees", "trade_pnls", "net_by_fill"}
# Fewer returns have no deviation.
FEWEST_SAMPLES = 2


class Fill(NamedTuple):
    """What was traded, and the minute of the case."""

    symbol: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    minute: Decimal


@dataclass
class Replay:
    """What the warehouse says of each account: frames, also with the dictionary's own minima, and ledgers."""

    own_minima: dict[str, Frame]
    frames: dict[str, Frame]
    ledgers: dict[str, list[dict[str, Any]]]


def numbers(given: Any, count: int = 0) -> list[Decimal]:
    """A list, a series by its name, or one number as often as it is needed, exactly as written."""
    if isinstance(given, str):
        given = PUBLISHED["series"][given]
    return [D(str(number)) for number in (given if isinstance(given, list) else [given] * count)]


def wealth(case: Case, name: str, less: str) -> list[Decimal]:
    """What returns make of the beginning, less a target."""
    rates = numbers(case[name])
    targets = numbers(case.get(less, 0), len(rates))
    gains = [1 + rate - target for rate, target in zip(rates, targets, strict=True)]
    return list(accumulate(gains, lambda value, gain: value * gain, initial=START)) if gains else []


def levels(case: Case) -> list[Decimal]:
    """The values of the account, from one million on."""
    if "returns" in case:
        return wealth(case, "returns", "minus")
    given = numbers(case.get("levels", []))
    if "gains" in case:
        given = list(accumulate(numbers(case["gains"]), initial=D(str(case["balance"]))))
    return [START * level / given[0] for level in given]


def step_seconds(case: Case) -> int:
    """The time of one stamp."""
    return math.ceil(WINDOW_SECONDS / max(len(levels(case)) - 1, 1))


def stamps(case: Case) -> list[datetime]:
    """The points of the window's grid: its beginning, and whole steps before its end."""
    count = len(levels(case))
    inner = [END - number * timedelta(seconds=step_seconds(case)) for number in reversed(range(max(count - 1, 1)))]
    return [END - timedelta(seconds=WINDOW_SECONDS), *inner] if count > 1 else inner[:count]


def fills(account: str, case: Case) -> list[Fill]:
    """What the account traded; one that did nothing at all opens a position, so that there is something to know of."""
    trades = case.get("trades", [])
    if "profits" in case:
        profits = numbers(case["profits"])
        trades = [[1, 1000, 1000 + profit, 2 * number, 2 * number + 1] for number, profit in enumerate(profits)]
    found = [
        Fill(account, *map(_exact, (quantity, price, fee, *(minute or [number]))))
        for number, (quantity, price, fee, *minute) in enumerate(case.get("fills", []))
    ]
    for number, (quantity, entry, leave, opened, closed) in enumerate(trades):
        symbol = f"{account} {number}"
        found.append(Fill(symbol, *map(_exact, (quantity, entry, 0, opened))))
        found.append(Fill(symbol, *map(_exact, (-quantity, leave, 0, closed))))
    if not found and not levels(case):
        found.append(Fill(account, D(1), D(1), D(0), D(0)))
    return found


def _exact(number: Any) -> Decimal:
    return D(str(number))


def write(world: World, account: str, case: Case) -> None:
    """The facts of a case."""
    for moment, level in zip(stamps(case), levels(case), strict=True):
        world.snapshot(moment, level.quantize(D("1e-8")), account)
    traded = fills(account, case)
    for fill in traded:
        side = "buy" if fill.quantity > 0 else "sell"
        at = END - timedelta(minutes=1 + float(max(other.minute for other in traded) - fill.minute))
        world.order(Order(side, abs(fill.quantity), fill.price, at, account, fill.symbol, fee=fill.fee))
    if "mark" in case:
        world.quote(account, END - timedelta(seconds=1), case["mark"])
    if "benchmark" in case:
        prices = wealth(case, "benchmark", "benchmark_minus")
        world.client.insert(
            "torghut.ta_microbars",
            [
                [account, at - timedelta(seconds=1), at, 1, at, float(price)]
                for at, price in zip(stamps(case), prices, strict=True)
            ],
            column_names=["symbol", "event_ts", "window_end", "seq", "ingest_ts", "c"],
        )


@contextmanager
def round_the_clock(client: Client) -> Iterator[None]:
    """Every case trades round the clock, against a benchmark of its name."""
    client.insert(
        "quant.account_settings", [[name, "24/7", name] for name in CASES], ["account", "calendar", "benchmark"]
    )
    try:
        yield
    finally:
        client.command(
            "alter table quant.account_settings delete where account in {names:Array(String)}"
            " settings mutations_sync = 2",
            parameters={"names": list(CASES)},
        )


@contextmanager
def fewest_samples(client: Client) -> Iterator[None]:
    """The dictionary asks for no more samples than the formulas do."""
    minima = minimum_samples(client)
    client.command(
        f"alter table quant.metric_definitions update min_samples = {FEWEST_SAMPLES}"
        f" where min_samples > {FEWEST_SAMPLES} settings mutations_sync = 2"
    )
    try:
        yield
    finally:
        client.command(
            "alter table quant.metric_definitions update min_samples"
            " = transform(metric_name, {names:Array(String)}, {minima:Array(Int32)}, min_samples)"
            " where 1 settings mutations_sync = 2",
            parameters={"names": list(minima), "minima": list(minima.values())},
        )


def minimum_samples(client: Client) -> dict[str, int]:
    return dict(client.query("select metric_name, min_samples from quant.metric_definitions").result_rows)


@pytest.fixture(scope="module")
def replay(built: Client) -> Replay:
    """All cases in one tick, an account each."""
    world = World(built)
    world.clear()
    with round_the_clock(built):
        for account, case in CASES.items():
            write(world, account, case)
        world.batch()
        world.tick()
        own_minima = of_accounts(world, "risk")
        with fewest_samples(built):
            frames = of_accounts(world, "frames")
        ledgers = {account: world.ledger(account, account) for account, case in CASES.items() if "fills" in case}
    return Replay(own_minima, frames, ledgers)


def of_accounts(world: World, group: str) -> dict[str, Frame]:
    found = world.frames(END, group=group)
    return {account: found["", account, WINDOW] for account in CASES}


def those_with(part: str) -> list[str]:
    return [account for account, case in CASES.items() if part in case]


def ledger_value(ledger: list[dict[str, Any]], name: str) -> Any:
    """What the ledger says under a name that is no metric's."""
    if name == "average_cost":
        return float(ledger[-1]["average_cost"])
    if name == "fees":
        return float(sum(row["closing_fee"] for row in ledger))
    if name == "trade_pnls":
        return [float(row["gross_realized_pnl"]) for row in ledger if row["closed_quantity"]]
    return [float(total) for total in accumulate(row["gross_realized_pnl"] - row["fee"] for row in ledger)]


def value(replay: Replay, account: str, name: str, periods: float | None = None) -> Any:
    """A value as the publications have it: for `periods` per year, in stamps, of one side."""
    if name in LEDGER_NAMES:
        return ledger_value(replay.ledgers[account], name)
    frame, step = replay.frames[account], step_seconds(CASES[account])
    if name == "round_trips":
        return json.loads(frame["trade_count"]["meta"])["round_trips"]
    row = frame[name]
    assert row["status"] == "ok", (name, row["reason"])
    found: float = row["value"]
    # Their periods per year over ours.
    ratio = periods * step / YEAR_SECONDS if periods else 1.0
    if name in ROOTS:
        return found * math.sqrt(ratio)
    if name == "calmar":
        # The growth of a year is another one with other periods per year, the drawdown is not.
        fall = abs(frame["max_drawdown"]["value"])
        return ((1 + found * fall) ** ratio - 1) / fall
    if name == "drawdown_duration_minutes":
        return found * 60 / step
    if name == "turnover_ratio":
        return found / 2
    return found


def is_close(found: Any, published: Any) -> bool:
    """Equal to 1e-9, or to the digits that a quoted number has."""
    if isinstance(published, list):
        return len(found) == len(published) and all(map(is_close, found, published))
    if isinstance(published, str):
        return abs(found - float(published)) <= 0.5000001 * 10 ** D(published).as_tuple().exponent
    return found == pytest.approx(published, rel=1e-9, abs=0 if published else 1e-9)


def test_every_case_has_an_account_of_its_own() -> None:
    assert len(CASES) == sum(len(source["cases"]) for source in PUBLISHED["sources"])


@pytest.mark.parametrize("account", those_with("expected"))
def test_values_equal_the_published_ones(replay: Replay, account: str) -> None:
    case = CASES[account]
    for name, published in case["expected"].items():
        found = value(replay, account, name, case.get("periods_per_year"))
        assert is_close(found, published), (name, found, published)


@pytest.mark.parametrize("account", those_with("per_stamp"))
def test_values_per_stamp_equal_the_published_ones(replay: Replay, account: str) -> None:
    for name, published in CASES[account]["per_stamp"].items():
        found = value(replay, account, name, 1)
        assert is_close(found, published), (name, found, published)


@pytest.mark.parametrize("account", those_with("undefined"))
def test_what_has_no_value_has_a_reason(replay: Replay, account: str) -> None:
    for name, (_, reason) in CASES[account]["undefined"].items():
        row = replay.frames[account][name]
        assert (row["value"], row["status"], row["reason"]) == (None, "insufficient_data", reason), name


@pytest.mark.parametrize("account", those_with("differs"))
def test_values_of_other_definitions_are_other_values(replay: Replay, account: str) -> None:
    case = CASES[account]
    for name, (published, why) in case["differs"].items():
        found = value(replay, account, name, case.get("periods_per_year"))
        assert found != pytest.approx(published, rel=1e-4, abs=1e-9), (name, why)


def test_the_dictionary_asks_for_more_samples_than_most_cases_have(built: Client, replay: Replay) -> None:
    minima = minimum_samples(built)
    for account, frame in replay.own_minima.items():
        returns = len(levels(CASES[account])) - 1
        for name in ROOTS | {"var_95_historical", "cvar_95_historical"}:
            if 0 < returns < minima[name]:
                assert (frame[name]["value"], frame[name]["reason"]) == (None, "below_min_samples"), (account, name)
            elif returns > 0:
                assert frame[name]["value"] == replay.frames[account][name]["value"], (account, name)
