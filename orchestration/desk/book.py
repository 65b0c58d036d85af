"""The books of one account: positions at average cost, cash and equity, in exact decimals."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

_PRICE = Decimal("0.00000001")
ZERO = Decimal(0)


@dataclass(slots=True)
class Position:
    """Net position of the account in one symbol; a short has a negative quantity."""

    qty: Decimal = ZERO
    average_price: Decimal = ZERO

    def fill(self, change: Decimal, price: Decimal) -> Decimal:
        """Change the quantity by the signed `change`; return the PnL realized at average cost, before fees."""
        before = self.qty
        self.qty = before + change
        if before * change >= 0:
            cost = self.average_price * abs(before) + price * abs(change)
            self.average_price = (cost / abs(self.qty)).quantize(_PRICE, ROUND_HALF_EVEN) if self.qty else ZERO
            return ZERO
        closed = min(abs(before), abs(change))
        realized = closed * (price - self.average_price) * (1 if before > 0 else -1)
        if not self.qty:
            self.average_price = ZERO
        elif (self.qty > 0) != (before > 0):
            self.average_price = price.quantize(_PRICE)
        return realized


@dataclass(slots=True)
class Book:
    """Cash and positions of an account; `held` splits the quantities by strategy.

    Identity, exact: equity = capital + sum over fills of -signed quantity x price - fees + market value.
    """

    cash: Decimal
    positions: dict[str, Position] = field(default_factory=lambda: defaultdict(Position))
    held: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def fill(self, strategy_id: str, symbol: str, change: Decimal, price: Decimal, fee: Decimal) -> Decimal:
        """Book one fill of the signed quantity `change`; return the realized PnL before fees."""
        self.cash -= change * price + fee
        self.held[strategy_id, symbol] += change
        return self.positions[symbol].fill(change, price)

    def open_positions(self) -> list[tuple[str, Position]]:
        """Return the positions that are not flat, by symbol."""
        return sorted((symbol, position) for symbol, position in self.positions.items() if position.qty)

    def equity(self, marks: Mapping[str, Decimal]) -> Decimal:
        """Return cash plus market value; `marks` holds the price of each open symbol."""
        return self.cash + sum((position.qty * marks[symbol] for symbol, position in self.open_positions()), ZERO)

    def gross(self, marks: Mapping[str, Decimal]) -> Decimal:
        """Return the sum of absolute market values."""
        return sum((abs(position.qty) * marks[symbol] for symbol, position in self.open_positions()), ZERO)
