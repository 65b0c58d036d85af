"""Technical indicators of the simulated market, on one-minute closes: what the TA pipeline would publish."""

import math
from functools import lru_cache
from typing import NamedTuple

from orchestration.desk.calendar import Session
from orchestration.desk.clock import MINUTE
from orchestration.desk.instruments import INSTRUMENTS
from orchestration.desk.market import Market

# Minutes of the session before that warm the averages up: after 60 steps an EMA of 26 has forgotten 99 % of its start.
_WARM_UP = 60
_BAND = 20


class Indicators(NamedTuple):
    """Indicators of one symbol at one moment."""

    ema12: float
    ema26: float
    macd: float
    macd_signal: float
    rsi14: float
    boll_mid: float
    boll_width: float
    vwap_session: float
    vwap_w5m: float
    volatility_w60s: float


class _Minute(NamedTuple):
    ema12: float
    ema26: float
    signal: float
    gain: float
    loss: float


class IndicatorBook:
    """Indicators of every symbol at any moment, computed session by session and kept while they are in use."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._minutes = lru_cache(maxsize=64)(self._fold_minutes)
        self._sums = lru_cache(maxsize=64)(self._fold_sums)

    def at(self, symbol: str, us: int) -> Indicators:
        """Return the indicators at `us`: the state of the last whole minute, moved on by the price of the moment.

        Raises:
            ValueError: no session had opened by then.
        """
        session = self._market.calendars[INSTRUMENTS[symbol].asset_class].latest(us)
        price = self._market.mid(symbol, us)
        if session is None:
            raise ValueError(f"no session of {symbol} has opened yet")
        prices = self._market.minutes(symbol, session)
        minute = min((us - session.opens) // MINUTE, len(prices) - 1)
        now = _step(self._minutes(symbol, session)[minute], price)
        closes = [*prices[max(0, minute - _BAND + 2) : minute + 1], price]
        mean = sum(closes) / len(closes)
        width = math.sqrt(sum((close - mean) ** 2 for close in closes) / len(closes))
        turnover, volume = self._sums(symbol, session)
        back = max(0, minute - 5)
        recent = volume[minute] - volume[back]
        returns = [prices[index + 1] / prices[index] - 1 for index in range(back, minute)]
        macd = now.ema12 - now.ema26
        return Indicators(
            now.ema12,
            now.ema26,
            macd,
            now.signal,
            100 * now.gain / (now.gain + now.loss) if now.gain + now.loss else 50.0,
            mean,
            width,
            turnover[minute] / volume[minute] if minute else price,
            (turnover[minute] - turnover[back]) / recent if recent else price,
            math.sqrt(sum(change * change for change in returns) / len(returns) / 60)
            if returns
            else self._market.second_volatility(symbol, session, 0),
        )

    def _fold_minutes(self, symbol: str, session: Session) -> list[_Minute]:
        prices = self._market.minutes(symbol, session)
        before = self._market.calendars[INSTRUMENTS[symbol].asset_class].latest(session.opens - 1)
        warm = self._market.minutes(symbol, before)[-_WARM_UP:] if before is not None else prices[:1]
        state = _Minute(warm[0], warm[0], 0.0, 0.0, 0.0)
        last = warm[0]
        for price in warm[1:]:
            state = _step(state, price, last)
            last = price
        states = []
        for price in prices:
            state = _step(state, price, last)
            last = price
            states.append(state)
        return states

    def _fold_sums(self, symbol: str, session: Session) -> tuple[list[float], list[float]]:
        """Return turnover and volume since the open, at each minute mark."""
        prices = self._market.minutes(symbol, session)
        turnover, volume = [0.0], [0.0]
        for index, traded in enumerate(self._market.volumes(symbol, session)):
            turnover.append(turnover[-1] + traded * (prices[index] + prices[index + 1]) / 2)
            volume.append(volume[-1] + traded)
        return turnover, volume


def _step(state: _Minute, price: float, last: float | None = None) -> _Minute:
    """Return the averages after one more close; without `last` the gain and loss averages stay."""
    ema12 = state.ema12 + (price - state.ema12) * 2 / 13
    ema26 = state.ema26 + (price - state.ema26) * 2 / 27
    signal = state.signal + (ema12 - ema26 - state.signal) * 2 / 10
    if last is None:
        return _Minute(ema12, ema26, signal, state.gain, state.loss)
    change = price - last
    return _Minute(
        ema12,
        ema26,
        signal,
        state.gain + (max(change, 0.0) - state.gain) / 14,
        state.loss + (max(-change, 0.0) - state.loss) / 14,
    )
