"""The order's life: fills add up, nothing follows the end, no price beyond the limit, fees are cumulative."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.desk.execution import Order, OrderEvent
from orchestration.desk.instruments import INSTRUMENTS


def order(symbol: str = "MU", qty: str = "10", limit: str | None = None, side: str = "buy") -> Order:
    return Order(
        order_id="o",
        instrument=INSTRUMENTS[symbol],
        side=side,  # type: ignore[arg-type]
        order_type="limit" if limit else "market",
        time_in_force="day",
        qty=Decimal(qty),
        limit_price=Decimal(limit) if limit else None,
        submitted_us=10,
        updated_us=10,
    )


def test_partial_fills_then_a_fill() -> None:
    subject = order()
    subject.apply(OrderEvent(11, "new"), 1)
    first = subject.apply(OrderEvent(12, "partial_fill", Decimal(4), Decimal("100.00")), 2)
    assert (subject.status, subject.filled_qty, subject.average_price) == ("partially_filled", 4, 100)
    second = subject.apply(OrderEvent(13, "fill", Decimal(6), Decimal("100.01")), 3)
    assert (subject.status, subject.filled_qty) == ("filled", 10)
    assert subject.notional == Decimal("1000.06")
    assert subject.average_price == Decimal("100.006")
    assert first + second == subject.fee == Decimal("0.04"), "10 shares at 0.0035, to the cent"
    assert subject.ended == {"filled": 13}


def test_crypto_pays_basis_points_and_less_for_resting_orders() -> None:
    taker, maker = order("BTC/USD", "0.5"), order("BTC/USD", "0.5", limit="90000")
    for subject in (taker, maker):
        subject.apply(OrderEvent(11, "new"), 1)
        subject.apply(OrderEvent(12, "fill", Decimal("0.5"), Decimal(90000)), 2)
    assert (taker.fee, maker.fee) == (Decimal(18), Decimal("4.5"))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([OrderEvent(12, "fill", Decimal(10), Decimal(1))], "cannot follow accepted"),
        ([OrderEvent(12, "new"), OrderEvent(11, "canceled")], "back in time"),
        ([OrderEvent(12, "new"), OrderEvent(13, "fill", Decimal(11), Decimal(1))], "does not fit"),
        ([OrderEvent(12, "new"), OrderEvent(13, "fill", Decimal(9), Decimal(1))], "does not fit"),
        ([OrderEvent(12, "new"), OrderEvent(13, "partial_fill", Decimal(10), Decimal(1))], "does not fit"),
        ([OrderEvent(12, "new"), OrderEvent(13, "partial_fill", Decimal(0), Decimal(1))], "above zero"),
        ([OrderEvent(12, "new"), OrderEvent(13, "canceled"), OrderEvent(14, "expired")], "cannot follow canceled"),
        ([OrderEvent(12, "rejected"), OrderEvent(14, "new")], "cannot follow rejected"),
    ],
)
def test_impossible_events_are_refused(events: list[OrderEvent], message: str) -> None:
    subject = order()
    for sequence, event in enumerate(events[:-1], 1):
        subject.apply(event, sequence)
    with pytest.raises(ValueError, match=message):
        subject.apply(events[-1], len(events))


@pytest.mark.parametrize(("side", "price"), [("buy", "100.01"), ("sell", "99.99")])
def test_no_fill_beyond_the_limit(side: str, price: str) -> None:
    subject = order(limit="100.00", side=side)
    subject.apply(OrderEvent(11, "new"), 1)
    with pytest.raises(ValueError, match="beyond the limit"):
        subject.apply(OrderEvent(12, "fill", Decimal(10), Decimal(price)), 2)


@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(1, 1_000_000)), min_size=1, max_size=8),
    st.sampled_from(["MU", "BTC/USD", "ETH/USD", "SOL/USD"]),
)
def test_the_notional_can_be_read_back_from_quantity_and_average(fills: list[tuple[int, int]], symbol: str) -> None:
    instrument = INSTRUMENTS[symbol]
    total = sum(lots for lots, _ in fills) * instrument.lot
    subject = order(symbol, str(total))
    subject.apply(OrderEvent(11, "new"), 1)
    for sequence, (lots, ticks) in enumerate(fills, 2):
        kind = "fill" if sequence == len(fills) + 1 else "partial_fill"
        subject.apply(
            OrderEvent(10 + sequence, kind, lots * instrument.lot, Decimal(ticks).scaleb(-instrument.price_places)),  # type: ignore[arg-type]
            sequence,
        )
    assert subject.average_price is not None
    assert round(subject.filled_qty * subject.average_price, instrument.notional_places) == subject.notional
