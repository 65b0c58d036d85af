"""An independent ledger in plain Python: average cost by the case table, one fill after the other, in Decimal."""

from dataclasses import dataclass, field
from decimal import Decimal, localcontext

ZERO = Decimal(0)


@dataclass
class Book:
    """State of one key, and what its fills did."""

    position: Decimal = ZERO
    average: Decimal = ZERO
    entry_fees: Decimal = ZERO
    realized: list[Decimal] = field(default_factory=list)
    closing_fees: list[Decimal] = field(default_factory=list)
    positions: list[Decimal] = field(default_factory=list)

    def fill(self, side: str, quantity: Decimal, price: Decimal, fee: Decimal = ZERO) -> None:
        """Apply one fill."""
        with localcontext() as context:
            context.prec = 60
            change = quantity if side == "buy" else -quantity
            before, after = self.position, self.position + change
            realized = closing = ZERO
            if before * change >= 0:
                self.average = (self.average * abs(before) + price * quantity) / (abs(before) + quantity)
                self.entry_fees += fee
            else:
                closed = min(quantity, abs(before))
                realized = closed * (price - self.average) * (1 if before > 0 else -1)
                closing = self.entry_fees * closed / abs(before) + fee * closed / quantity
                if before * after > 0:
                    self.entry_fees *= 1 - closed / abs(before)
                elif after == 0:
                    self.average = self.entry_fees = ZERO
                else:
                    self.average, self.entry_fees = price, fee * (quantity - closed) / quantity
            self.position = after
            self.realized.append(realized)
            self.closing_fees.append(closing)
            self.positions.append(after)
