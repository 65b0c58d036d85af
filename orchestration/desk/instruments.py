"""What the desk can trade: one row per symbol with its price scale, risk factors, spread, tick, lot and volume."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

AssetClass = Literal["us_equity", "crypto"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A symbol. `volatility` is its own daily log volatility; `beta` its loading on the market of its class."""

    symbol: str
    asset_class: AssetClass
    exchange: str
    price: float
    beta: float
    sector: str
    volatility: float
    spread_bps: float
    lot_places: int
    daily_volume: float
    price_places: int = 2

    @property
    def lot(self) -> Decimal:
        """Smallest tradable quantity."""
        return Decimal(1).scaleb(-self.lot_places)

    @property
    def notional_places(self) -> int:
        """Decimal places that hold quantity x price exactly."""
        return self.lot_places + self.price_places


def _equity(
    symbol: str, price: float, beta: float, sector: str, volatility: float, spread_bps: float, daily_volume: float
) -> Instrument:
    return Instrument(symbol, "us_equity", "NASDAQ", price, beta, sector, volatility, spread_bps, 0, daily_volume)


EQUITIES = (
    _equity("ARM", 150.0, 1.6, "semiconductors", 0.022, 3.0, 7e6),
    _equity("ASML", 760.0, 1.2, "semiconductors", 0.013, 3.5, 1.5e6),
    _equity("CRWD", 390.0, 1.1, "software", 0.019, 3.0, 3e6),
    _equity("GOOG", 190.0, 1.0, "software", 0.012, 1.2, 2e7),
    _equity("LRCX", 95.0, 1.3, "semiconductors", 0.014, 2.0, 1e7),
    _equity("MSFT", 440.0, 0.9, "software", 0.009, 1.0, 2e7),
    _equity("MU", 110.0, 1.4, "semiconductors", 0.018, 1.8, 1.8e7),
    _equity("NVDA", 140.0, 1.7, "semiconductors", 0.016, 1.0, 2e8),
    _equity("SNDK", 90.0, 1.5, "semiconductors", 0.030, 5.0, 5e6),
    _equity("TSM", 200.0, 1.2, "semiconductors", 0.012, 1.5, 1.4e7),
)
CRYPTO = (
    Instrument("BTC/USD", "crypto", "CRYPTO", 95_000.0, 1.0, "crypto", 0.008, 1.5, 4, 3e4),
    Instrument("ETH/USD", "crypto", "CRYPTO", 3_200.0, 1.15, "crypto", 0.018, 2.5, 3, 4e5),
    Instrument("SOL/USD", "crypto", "CRYPTO", 180.0, 1.3, "crypto", 0.026, 4.0, 2, 6e6),
)
# Not traded: what the accounts' returns are compared with.
BENCHMARKS = (Instrument("SPY", "us_equity", "ARCA", 600.0, 1.0, "index", 0.0005, 0.3, 0, 6e7),)
INSTRUMENTS = {instrument.symbol: instrument for instrument in EQUITIES + CRYPTO + BENCHMARKS}

# Daily log volatility of the factors that symbols share.
MARKET_VOLATILITY: dict[AssetClass, float] = {"us_equity": 0.009, "crypto": 0.021}
SECTOR_VOLATILITY = {"semiconductors": 0.011, "software": 0.006, "crypto": 0.006, "index": 0.0}
