"""The life of one order: a state machine that takes broker events in order and refuses impossible ones."""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Literal

from orchestration.desk.instruments import Instrument

EventType = Literal["new", "partial_fill", "fill", "canceled", "expired", "rejected"]
Status = Literal["accepted", "new", "partially_filled", "filled", "canceled", "expired", "rejected"]

FINAL: frozenset[str] = frozenset({"filled", "canceled", "expired", "rejected"})

_STATUS_AFTER: dict[EventType, Status] = {
    "new": "new",
    "partial_fill": "partially_filled",
    "fill": "filled",
    "canceled": "canceled",
    "expired": "expired",
    "rejected": "rejected",
}
_ALLOWED: dict[Status, frozenset[EventType]] = {
    "accepted": frozenset({"new", "rejected", "canceled", "expired"}),
    "new": frozenset({"partial_fill", "fill", "canceled", "expired", "rejected"}),
    "partially_filled": frozenset({"partial_fill", "fill", "canceled", "expired"}),
    "filled": frozenset(),
    "canceled": frozenset(),
    "expired": frozenset(),
    "rejected": frozenset(),
}

_CENT = Decimal("0.01")
_MICRO = Decimal("0.000001")
_PRICE = Decimal("0.00000001")
# Fee schedule: US equities per share, rounded to the cent per order; crypto in basis points of the notional.
EQUITY_FEE_PER_SHARE = Decimal("0.0035")
CRYPTO_MAKER_FEE = Decimal("0.0001")
CRYPTO_TAKER_FEE = Decimal("0.0004")


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One broker event. `qty` and `price` are those of this fill, absent for other events."""

    us: int
    kind: EventType
    qty: Decimal | None = None
    price: Decimal | None = None


@dataclass(slots=True)
class Order:
    """An order at the broker and everything that has happened to it.

    `fee` is a function of what is filled so far; each fill therefore costs the difference it makes.
    """

    order_id: str
    instrument: Instrument
    side: Literal["buy", "sell"]
    order_type: str
    time_in_force: str
    qty: Decimal
    limit_price: Decimal | None
    submitted_us: int
    status: Status = "accepted"
    filled_qty: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    updated_us: int = 0
    sequence: int = 0
    ended: dict[str, int] = field(default_factory=dict)

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self.side == "buy" else -1

    @property
    def final(self) -> bool:
        """Whether nothing can happen to the order any more."""
        return self.status in FINAL

    @property
    def average_price(self) -> Decimal | None:
        """Cumulative average fill price, 8 decimal places as the source column holds it."""
        if not self.filled_qty:
            return None
        return (self.notional / self.filled_qty).quantize(_PRICE, ROUND_HALF_EVEN)

    def apply(self, event: OrderEvent, sequence: int) -> Decimal:
        """Take the next event; return the fee that it costs.

        Raises:
            ValueError: the event cannot follow the state: after the end, back in time, an overfill, a fill that does
                not complete the order, a price beyond the limit.
        """
        if event.kind not in _ALLOWED[self.status]:
            raise ValueError(f"{event.kind} cannot follow {self.status}")
        if event.us < max(self.submitted_us, self.updated_us) or sequence <= self.sequence:
            raise ValueError(f"{event.kind} goes back in time")
        cost = Decimal(0)
        if event.kind in ("partial_fill", "fill"):
            cost = self._fill(event)
        self.status = _STATUS_AFTER[event.kind]
        self.updated_us = event.us
        self.sequence = sequence
        if self.final:
            self.ended[self.status] = event.us
        return cost

    def _fill(self, event: OrderEvent) -> Decimal:
        if event.qty is None or event.price is None or event.qty <= 0 or event.price <= 0:
            raise ValueError("a fill needs a quantity and a price above zero")
        filled = self.filled_qty + event.qty
        if filled > self.qty or (filled == self.qty) != (event.kind == "fill"):
            raise ValueError(f"{event.kind} of {event.qty} does not fit {self.filled_qty} of {self.qty}")
        if self.limit_price is not None and (event.price - self.limit_price) * self.sign > 0:
            raise ValueError(f"{event.price} is beyond the limit {self.limit_price}")
        self.filled_qty = filled
        self.notional += event.qty * event.price
        before, self.fee = self.fee, self._total_fee()
        return self.fee - before

    def _total_fee(self) -> Decimal:
        if self.instrument.asset_class == "us_equity":
            return (self.filled_qty * EQUITY_FEE_PER_SHARE).quantize(_CENT, ROUND_HALF_EVEN)
        rate = CRYPTO_TAKER_FEE if self.limit_price is None else CRYPTO_MAKER_FEE
        return (self.notional * rate).quantize(_MICRO, ROUND_HALF_EVEN)
