"""The simulated market: prices are a function of seed and time, without jumps, and symbols move together."""

import math
from itertools import pairwise

import pytest

from orchestration.desk.clock import DAY, MINUTE, SECOND
from orchestration.desk.history import Scene
from orchestration.desk.instruments import INSTRUMENTS
from tests.unit.desk.conftest import at, make_scene


def test_a_price_depends_on_seed_symbol_and_time_alone() -> None:
    moments = [at(25, 15, 0, 1) + offset * 37 * SECOND + 123_456 for offset in range(50)]
    forward = make_scene().market
    backward = make_scene().market
    prices = [forward.mid("MU", us) for us in moments]
    assert prices == [backward.mid("MU", us) for us in reversed(moments)][::-1]
    assert prices != [make_scene(seed=4).market.mid("MU", us) for us in moments]


@pytest.mark.parametrize("symbol", ["NVDA", "BTC/USD"])
def test_a_path_has_no_jumps_from_second_to_second(stage: Scene, symbol: str) -> None:
    start = at(25, 17)
    prices = [stage.market.mid(symbol, start + second * SECOND) for second in range(1800)]
    moves = [math.log(b / a) for a, b in pairwise(prices)]
    # A daily volatility of 3 % makes 0.0002 a second in a session; uniform steps stay within twice that.
    assert max(map(abs, moves)) < 0.001
    assert sum(move * move for move in moves) > 0


def test_crypto_runs_through_midnight_and_equities_gap_overnight(stage: Scene) -> None:
    before, after = (stage.market.mid("BTC/USD", at(26, 0) + offset) for offset in (-1, 0))
    assert after == pytest.approx(before, rel=1e-5)
    close = stage.market.mid("MSFT", at(25, 21))
    assert stage.market.mid("MSFT", at(26, 3)) == close, "closed markets keep the last price"
    assert abs(math.log(stage.market.mid("MSFT", at(26, 14, 30)) / close)) > 1e-4


def test_volatility_is_what_the_instrument_says(stage: Scene) -> None:
    start = at(1, 0)
    closes = [stage.market.mid("ETH/USD", start + day * DAY) for day in range(1, 200)]
    moves = [math.log(b / a) for a, b in pairwise(closes)]
    daily = math.sqrt(sum(move * move for move in moves) / len(moves))
    assert daily == pytest.approx(0.031, rel=0.2)


def test_symbols_of_one_market_are_correlated(stage: Scene) -> None:
    start = at(1, 0)

    def moves(symbol: str) -> list[float]:
        prices = [stage.market.mid(symbol, start + minute * 10 * MINUTE) for minute in range(3000)]
        return [math.log(b / a) for a, b in pairwise(prices)]

    a, b = moves("BTC/USD"), moves("ETH/USD")
    correlation = sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(
        sum(x * x for x in a) * sum(y * y for y in b)
    )
    assert 0.6 < correlation < 0.95


def test_quotes_are_on_the_tick_around_the_price_and_wide_at_the_open(stage: Scene) -> None:
    for symbol in INSTRUMENTS:
        quote = stage.market.quote(symbol, at(25, 15))
        assert quote.bid < quote.ask
        assert float(quote.bid) <= stage.market.mid(symbol, at(25, 15)) <= float(quote.ask)
        assert quote.bid.as_tuple().exponent == -2
    opening, midday = (stage.market.quote("SNDK", us) for us in (at(25, 14, 31), at(25, 17, 45)))
    assert opening.ask - opening.bid > midday.ask - midday.bid


def test_volume_is_u_shaped_on_the_exchange(stage: Scene) -> None:
    session = stage.market.calendars["us_equity"].at(at(25, 15))
    assert session is not None
    volumes = stage.market.volumes("TSM", session)
    assert len(volumes) == 390
    assert sum(volumes[:60]) > 1.5 * sum(volumes[165:225]) < sum(volumes[-60:])


def test_indicators_are_plausible_and_a_function_of_time(stage: Scene) -> None:
    us = at(26, 15, 30, 17)
    found = stage.indicators.at("NVDA", us)
    assert found == make_scene().indicators.at("NVDA", us)
    price = stage.market.mid("NVDA", us)
    assert found.macd == pytest.approx(found.ema12 - found.ema26)
    assert 0 < found.rsi14 < 100
    for average in (found.ema12, found.ema26, found.boll_mid, found.vwap_session, found.vwap_w5m):
        assert average == pytest.approx(price, rel=0.05)
    assert 0 < found.volatility_w60s < 0.01
