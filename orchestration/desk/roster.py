"""Who trades at the desk: the accounts, their capital, and their strategies with their characters."""

import hashlib
import uuid
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

from orchestration.desk.instruments import CRYPTO, EQUITIES, AssetClass

# Every identifier of the desk is a uuid5 below this name, so that a repeated run writes the same rows.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "jangar-quant/desk")
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def identifier(*name: object) -> str:
    """Return the uuid5 of a named thing of the desk.

    The same as `str(uuid.uuid5(NAMESPACE, "|".join(name)))` in a fifth of the time: history needs 300,000 of them.
    """
    digest = hashlib.sha1(NAMESPACE.bytes + "|".join(map(str, name)).encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"


@cache
def asset_id(symbol: str) -> str:
    """Return the broker's identifier of a symbol."""
    return identifier("asset", symbol)


@cache
def _strategy_id(name: str) -> str:
    return identifier("strategy", name)


@dataclass(frozen=True, slots=True)
class Strategy:
    """A strategy and its character.

    Attributes:
        skill: correlation of its target positions with the return of the next `horizon_minutes`: above zero it earns,
            below it loses. The simulated market has no pattern to find, so skill is granted, not computed.
        weight: largest target position per symbol, as a share of the account's equity.
        shorts: whether it goes short; otherwise it never sells more than it holds.
        passive: share of its orders that rest in the book as limit orders.
    """

    name: str
    description: str
    plugin: str
    timeframe: str
    skill: float
    horizon_minutes: int
    weight: float
    shorts: bool
    passive: float
    tags: tuple[str, str]

    @property
    def id(self) -> str:
        """Primary key in `strategies`."""
        return _strategy_id(self.name)


@dataclass(frozen=True, slots=True)
class Account:
    """A brokerage account and who trades it.

    Attributes:
        turnover: traded notional per day as a multiple of capital that sizes the slices of history; the order size
            follows from it and the rate of decisions, so that exposure does not depend on the rate.
        smallest_slice: notional below which a slice is not cut, however high the rate.
        history_decisions: decisions per day of history.
        snapshot_seconds: interval of position snapshots while live; history_snapshot_seconds: in history.
        partition: of the broker's feed, in which the account's events come.
    """

    label: str
    asset_class: AssetClass
    capital: Decimal
    strategies: tuple[Strategy, ...]
    turnover: float
    smallest_slice: float
    history_decisions: int
    snapshot_seconds: int
    history_snapshot_seconds: int
    partition: int

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that the account trades."""
        return tuple(row.symbol for row in (EQUITIES if self.asset_class == "us_equity" else CRYPTO))


PAPER = Account(
    label="paper",
    asset_class="us_equity",
    capital=Decimal(5_000_000),
    turnover=3.0,
    smallest_slice=1500.0,
    history_decisions=400,
    snapshot_seconds=15,
    history_snapshot_seconds=60,
    partition=0,
    strategies=(
        Strategy(
            "equity-momentum",
            "Intraday time-series momentum, long only; earns.",
            "intraday_tsmom",
            "1Min",
            skill=0.16,
            horizon_minutes=60,
            weight=0.04,
            shorts=False,
            passive=0.25,
            tags=("macd_cross_up", "macd_cross_down"),
        ),
        Strategy(
            "equity-mean-reversion",
            "Fades moves away from the session's average price, long and short.",
            "mean_reversion",
            "1Min",
            skill=0.05,
            horizon_minutes=60,
            weight=0.06,
            shorts=True,
            passive=0.5,
            tags=("rsi_oversold", "rsi_overbought"),
        ),
        Strategy(
            "equity-breakout",
            "Buys new highs with market orders and is late; loses.",
            "breakout",
            "5Min",
            skill=-0.18,
            horizon_minutes=90,
            weight=0.03,
            shorts=False,
            passive=0.0,
            tags=("range_breakout", "range_failure"),
        ),
    ),
)
PAPER_CRYPTO = Account(
    label="paper-crypto",
    asset_class="crypto",
    capital=Decimal(1_000_000),
    turnover=3.0,
    smallest_slice=50.0,
    history_decisions=400,
    snapshot_seconds=15,
    history_snapshot_seconds=300,
    partition=1,
    strategies=(
        Strategy(
            "crypto-momentum",
            "Time-series momentum around the clock, long only; earns.",
            "intraday_tsmom",
            "1Min",
            skill=0.10,
            horizon_minutes=240,
            weight=0.15,
            shorts=False,
            passive=0.3,
            tags=("macd_cross_up", "macd_cross_down"),
        ),
        Strategy(
            "crypto-market-making",
            "Quotes both sides with resting orders and small inventory, long and short.",
            "market_making",
            "1Sec",
            skill=0.0,
            horizon_minutes=15,
            weight=0.03,
            shorts=True,
            passive=0.95,
            tags=("quote_bid", "quote_ask"),
        ),
        Strategy(
            "crypto-mean-reversion",
            "Buys falls and sells rises too early; loses.",
            "mean_reversion",
            "1Min",
            skill=-0.10,
            horizon_minutes=240,
            weight=0.10,
            shorts=True,
            passive=0.2,
            tags=("rsi_oversold", "rsi_overbought"),
        ),
    ),
)
ACCOUNTS = (PAPER, PAPER_CRYPTO)


def copies(count: int) -> tuple[Account, ...]:
    """Return the accounts `count` times; from the second time on with a number, as paper-2."""
    return tuple(
        replace(account, label=f"{account.label}-{number}" if number > 1 else account.label, partition=partition)
        for partition, (number, account) in enumerate((n, a) for n in range(1, count + 1) for a in ACCOUNTS)
    )
