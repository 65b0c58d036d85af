"""The books: average cost through adds, reductions and flips, and the exact equity identity."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from orchestration.desk.book import Book, Position


def test_average_cost_through_add_reduce_flip_and_flat() -> None:
    position = Position()
    assert position.fill(Decimal(10), Decimal(100)) == 0
    assert position.fill(Decimal(10), Decimal(110)) == 0
    assert position.average_price == 105
    assert position.fill(Decimal(-5), Decimal(120)) == 75
    assert position.average_price == 105
    assert position.fill(Decimal(-20), Decimal(90)) == -225, "closes 15, opens a short of 5 at 90"
    assert (position.qty, position.average_price) == (-5, 90)
    assert position.fill(Decimal(5), Decimal(80)) == 50
    assert (position.qty, position.average_price) == (0, 0)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from("XY"), st.integers(-50, 50), st.integers(1, 10_000)),
        max_size=40,
    )
)
def test_equity_is_capital_minus_cash_paid_plus_market_value(fills: list[tuple[str, str, int, int]]) -> None:
    book = Book(Decimal(1000))
    paid = fees = Decimal(0)
    for strategy, symbol, qty, cents in fills:
        price, fee = Decimal(cents).scaleb(-2), Decimal("0.01")
        book.fill(strategy, symbol, Decimal(qty), price, fee)
        paid += qty * price
        fees += fee
    marks = {"X": Decimal("3.33"), "Y": Decimal("7.01")}
    value = sum(
        (marks[symbol] * sum(qty for _, s, qty, _ in fills if s == symbol) for symbol in "XY"), start=Decimal(0)
    )
    assert book.equity(marks) == 1000 - paid - fees + value
    for symbol in "XY":
        assert book.positions[symbol].qty == sum(qty for (_, s), qty in book.held.items() if s == symbol)
