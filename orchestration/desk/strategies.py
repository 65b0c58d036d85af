"""Who decides what: target positions of the strategies, and the decision that moves a position towards its target."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Literal

from orchestration.desk.book import ZERO, Book
from orchestration.desk.calendar import Session
from orchestration.desk.clock import MINUTE, SECOND
from orchestration.desk.draws import stream
from orchestration.desk.indicators import IndicatorBook, Indicators
from orchestration.desk.instruments import INSTRUMENTS, Instrument
from orchestration.desk.market import Market, Quote
from orchestration.desk.roster import Account, Strategy, identifier

# A strategy is at its target when the rest is a smaller share of a slice than this; it then trades around it.
_CLOSE_ENOUGH = 0.3


@dataclass(frozen=True, slots=True)
class Decision:
    """What a strategy wants at `created_us`, from the signal of `signal_us`; `qty` before sizing."""

    id: str
    account: Account
    strategy: Strategy
    instrument: Instrument
    side: Literal["buy", "sell"]
    qty: Decimal
    order_type: Literal["market", "limit"]
    time_in_force: str
    limit_price: Decimal | None
    signal_us: int
    created_us: int
    quote: Quote
    price: Decimal
    indicators: Indicators
    tags: tuple[str, ...]
    equity: Decimal


class Trader:
    """The strategies of one account."""

    def __init__(self, account: Account, market: Market, indicators: IndicatorBook) -> None:
        self.account = account
        self._market = market
        self._indicators = indicators
        self._calendar = market.calendars[account.asset_class]

    def decide(
        self,
        us: int,
        rng: Random,
        book: Book,
        resting_sells: Mapping[tuple[str, str], Decimal],
        equity: Decimal,
        slice_notional: float,
    ) -> Decision:
        """Return the decision of one strategy for one symbol at `us`, a moment inside a session.

        Args:
            resting_sells: quantity in open sell orders by (strategy id, symbol): a long-only strategy has that no more.
            slice_notional: what one decision trades on average, in dollars.
        """
        strategy = rng.choice(self.account.strategies)
        symbol = rng.choice(self.account.symbols)
        instrument = INSTRUMENTS[symbol]
        session = self._calendar.at(us)
        assert session is not None
        price = self._market.mark(symbol, us)
        held = book.held[strategy.id, symbol]
        target = float(equity) * self._target(strategy, symbol, session, us)
        gap = target - float(held * price)
        size = slice_notional * rng.uniform(0.5, 1.5)
        if abs(gap) < _CLOSE_ENOUGH * slice_notional:
            gap = size if rng.random() < 0.5 else -size
        notional = math.copysign(min(abs(gap), size), gap)
        lots = max(1, int(abs(notional) / float(price * instrument.lot) + rng.random()))
        qty = lots * instrument.lot
        side: Literal["buy", "sell"] = "buy" if notional > 0 else "sell"
        if side == "sell" and not strategy.shorts:
            available = max(ZERO, held - resting_sells.get((strategy.id, symbol), ZERO))
            qty = min(qty, available)
            if not qty:
                side, qty = "buy", instrument.lot
        quote = self._market.quote(symbol, us)
        passive = rng.random() < strategy.passive
        immediate = rng.random() < 0.15
        usual = "gtc" if self._calendar.continuous else "day"
        return Decision(
            id=identifier("decision", self.account.label, strategy.name, symbol, us),
            account=self.account,
            strategy=strategy,
            instrument=instrument,
            side=side,
            qty=qty,
            order_type="limit" if passive else "market",
            time_in_force="ioc" if immediate else usual,
            limit_price=(quote.bid if side == "buy" else quote.ask) if passive else None,
            signal_us=us - us % SECOND,
            created_us=us,
            quote=quote,
            price=price,
            indicators=self._indicators.at(symbol, us),
            tags=(strategy.tags[0 if side == "buy" else 1], "trend_up" if target > 0 else "trend_down"),
            equity=equity,
        )

    def _target(self, strategy: Strategy, symbol: str, session: Session, us: int) -> float:
        """Return the target position as a share of equity: a noisy view of the return until the horizon's end."""
        path = self._market.minutes(symbol, session)
        first = (us - session.opens) // MINUTE // strategy.horizon_minutes * strategy.horizon_minutes
        last = min(first + strategy.horizon_minutes, len(path) - 1)
        deviation = self._market.second_volatility(symbol, session, first) * math.sqrt(60 * (last - first))
        coming = (path[last] / path[first] - 1) / deviation
        noise = stream(self._market.seed, "signal", strategy.name, symbol, session.opens, first).gauss(0.0, 1.0)
        view = strategy.skill * coming + math.sqrt(1 - strategy.skill**2) * noise
        strength = max(-1.0, min(1.0, view / 1.5))
        return strategy.weight * (strength if strategy.shorts else (1 + strength) / 2)
