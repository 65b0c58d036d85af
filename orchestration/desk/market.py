"""The simulated market: the price of a symbol as a pure function of (seed, symbol, time), so no state to keep.

Three layers, each drawn from named streams: daily levels of every factor (market, sector, own), a Brownian bridge
over the minutes of a session between its opening and closing level, a bridge over the seconds of a minute.
"""

import itertools
import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from orchestration.desk.calendar import Calendar, Session
from orchestration.desk.clock import MINUTE, SECOND
from orchestration.desk.draws import stream
from orchestration.desk.instruments import INSTRUMENTS, MARKET_VOLATILITY, SECTOR_VOLATILITY, AssetClass

# Daily levels are random walks from this day on, pulled back to the base price: a half-life of about a year keeps
# prices near their scale however long a desk runs.
_FIRST_DAY = date(2020, 1, 1).toordinal()
_PULL = 0.002
# Standard deviation of the overnight gap and of the session, as shares of the daily volatility (squares add to 1).
_OVERNIGHT = 0.5
_IN_SESSION = math.sqrt(1 - _OVERNIGHT**2)


class Quote(NamedTuple):
    """Best bid and ask, on the tick."""

    bid: Decimal
    ask: Decimal
    bid_size: int
    ask_size: int

    @property
    def mid(self) -> Decimal:
        """Middle of the quote."""
        return (self.bid + self.ask) / 2


class Market:
    """Prices, quotes and volumes of all symbols for one seed.

    Args:
        seed: two markets with the same seed and calendars agree on every price.
        calendars: the calendar of each asset class.
    """

    def __init__(self, seed: int, calendars: Mapping[AssetClass, Calendar]) -> None:
        self.seed = seed
        self.calendars = calendars
        self._daily: dict[str, list[tuple[float, float]]] = {}
        self._own = {
            instrument.symbol: (
                (f"market:{instrument.asset_class}", MARKET_VOLATILITY[instrument.asset_class], instrument.beta),
                (f"sector:{instrument.sector}", SECTOR_VOLATILITY[instrument.sector], 1.0),
                (f"own:{instrument.symbol}", instrument.volatility, 1.0),
            )
            for instrument in INSTRUMENTS.values()
        }
        # Sized for two days of every symbol: history walks day by day.
        self._factor_path = lru_cache(maxsize=64)(self._draw_factor_path)
        self.minutes = lru_cache(maxsize=64)(self._draw_minutes)
        self.volumes = lru_cache(maxsize=64)(self._draw_volumes)
        self._seconds = lru_cache(maxsize=8192)(self._draw_seconds)

    def mid(self, symbol: str, us: int) -> float:
        """Return the price at `us`; outside a session, the last close before.

        Raises:
            ValueError: no session had opened by then.
        """
        instrument = INSTRUMENTS[symbol]
        session = self.calendars[instrument.asset_class].latest(us)
        if session is None:
            raise ValueError(f"no session of {symbol} has opened yet")
        if us >= session.closes:
            return self.minutes(symbol, session)[-1]
        minute, rest = divmod(us - session.opens, MINUTE)
        if not rest:
            return self.minutes(symbol, session)[minute]
        seconds = self._seconds(symbol, session, minute)
        second, fraction = divmod(rest, SECOND)
        here = seconds[second]
        return here + (seconds[second + 1] - here) * fraction / SECOND

    def mark(self, symbol: str, us: int) -> Decimal:
        """Return the price at `us`, rounded to the tick: what positions are valued at."""
        places = INSTRUMENTS[symbol].price_places
        return Decimal(round(self.mid(symbol, us) * 10**places)).scaleb(-places)

    def quote(self, symbol: str, us: int) -> Quote:
        """Return bid and ask at `us`; the spread is wider near the open and the close."""
        instrument = INSTRUMENTS[symbol]
        mid = self.mid(symbol, us)
        half = mid * instrument.spread_bps / 20_000 * (0.8 + 0.2 * self.activity(instrument.asset_class, us))
        scale = 10**instrument.price_places
        bid = math.floor((mid - half) * scale)
        ask = max(math.ceil((mid + half) * scale), bid + 1)
        # Sizes change each second; multiplicative hashing is enough, they only need to look alive.
        noise = (us // SECOND * 2_654_435_761 + bid) & 0xFFFF
        lots = 100 if instrument.asset_class == "us_equity" else 1
        return Quote(
            Decimal(bid).scaleb(-instrument.price_places),
            Decimal(ask).scaleb(-instrument.price_places),
            lots * (1 + noise % 9),
            lots * (1 + (noise >> 6) % 9),
        )

    def activity(self, asset_class: AssetClass, us: int) -> float:
        """Return the trading intensity at `us` relative to the session's mean: U-shaped on an exchange."""
        calendar = self.calendars[asset_class]
        session = calendar.latest(us)
        if session is None or calendar.continuous:
            return 1.0
        return _intensity(min(1.0, (us - session.opens) / (session.closes - session.opens)))

    def second_volatility(self, symbol: str, session: Session, minute: int) -> float:
        """Return the standard deviation of a one-second log return in that minute of the session."""
        instrument = INSTRUMENTS[symbol]
        total = math.sqrt(sum((volatility * load) ** 2 for _, volatility, load in self._own[symbol]))
        continuous = self.calendars[instrument.asset_class].continuous
        cumulative = _cumulative_variance(_minute_count(session), continuous)
        share = cumulative[minute + 1] - cumulative[minute]
        return total * (1.0 if continuous else _IN_SESSION) * math.sqrt(share / 60)

    def _draw_seconds(self, symbol: str, session: Session, minute: int) -> list[float]:
        path = self.minutes(symbol, session)
        start, end = path[minute], path[minute + 1]
        # Uniform steps of the right variance: a fifth of the cost of normal ones, and nobody looks at single seconds.
        width = start * self.second_volatility(symbol, session, minute) * math.sqrt(12)
        draw = stream(self.seed, "seconds", symbol, session.opens, minute).random
        walk = list(itertools.accumulate([(draw() - 0.5) * width for _ in range(60)], initial=0.0))
        slope = (end - start - walk[60]) / 60
        return [start + walk[second] + slope * second for second in range(60)] + [end]

    def _draw_minutes(self, symbol: str, session: Session) -> list[float]:
        """Return the prices at the minute marks of the session, opening and closing price included."""
        instrument = INSTRUMENTS[symbol]
        (market, market_volatility, beta), (sector, sector_volatility, _), (own, own_volatility, _) = self._own[symbol]
        base = math.log(instrument.price)
        continuous = self.calendars[instrument.asset_class].continuous
        return [
            math.exp(base + beta * a + b + c)
            for a, b, c in zip(
                self._factor_path(market, market_volatility, session, continuous),
                self._factor_path(sector, sector_volatility, session, continuous),
                self._factor_path(own, own_volatility, session, continuous),
                strict=True,
            )
        ]

    def _draw_factor_path(self, factor: str, volatility: float, session: Session, continuous: bool) -> list[float]:
        opening, closing = self._levels(factor, volatility, session.day, continuous)
        gauss = stream(self.seed, "minutes", factor, session.day).gauss
        cumulative = _cumulative_variance(_minute_count(session), continuous)
        scale = volatility * (1.0 if continuous else _IN_SESSION)
        walk = [0.0]
        level = 0.0
        for before, after in itertools.pairwise(cumulative):
            level += gauss(0.0, scale * math.sqrt(after - before))
            walk.append(level)
        rise = closing - opening - level
        return [opening + step + rise * share for step, share in zip(walk, cumulative, strict=True)]

    def _levels(self, factor: str, volatility: float, day: date, continuous: bool) -> tuple[float, float]:
        """Return the opening and closing log level of a factor on a day."""
        days = self._daily.setdefault(factor, [])
        wanted = max(day.toordinal() - _FIRST_DAY, 0)
        if len(days) <= wanted:
            # One stream in the order of the days, always drawn from the first: the extension must not depend on
            # how far an earlier call went.
            gauss = stream(self.seed, "days", factor).gauss
            gap, move = (0.0, volatility) if continuous else (volatility * _OVERNIGHT, volatility * _IN_SESSION)
            days.clear()
            close = 0.0
            for index in range(wanted + 366):
                first, second = gauss(0.0, 1.0), gauss(0.0, 1.0)
                opening = close
                if continuous or (_FIRST_DAY + index - 1) % 7 < 5:
                    opening = close + gap * first
                    close = opening * (1 - _PULL) + move * second
                days.append((opening, close))
        return days[wanted]

    def _draw_volumes(self, symbol: str, session: Session) -> list[float]:
        """Return the traded volume of each minute of the session."""
        instrument = INSTRUMENTS[symbol]
        count = _minute_count(session)
        cumulative = _cumulative_variance(count, self.calendars[instrument.asset_class].continuous)
        gauss = stream(self.seed, "volume", symbol, session.day).gauss
        return [
            instrument.daily_volume * (cumulative[index + 1] - cumulative[index]) * math.exp(gauss(-0.125, 0.5))
            for index in range(count)
        ]


def _minute_count(session: Session) -> int:
    return (session.closes - session.opens) // MINUTE


def _intensity(x: float) -> float:
    """Return the U shape over the session (x from 0 to 1): 2.7 at the open, 0.6 at midday, 2.1 at the close; mean 1."""
    return 0.614 + (2.05 * (1 - 2 * x) ** 4 if x < 0.5 else 1.45 * (2 * x - 1) ** 3)


@lru_cache(maxsize=16)
def _cumulative_variance(count: int, continuous: bool) -> list[float]:
    """Return the share of a session's variance (and volume) that has passed at each of its `count` + 1 minute marks."""
    weights = [1.0 if continuous else _intensity((minute + 0.5) / count) for minute in range(count)]
    total = sum(weights)
    cumulative = [0.0]
    for weight in weights:
        cumulative.append(cumulative[-1] + weight / total)
    cumulative[-1] = 1.0
    return cumulative
