"""The engine: sessions gate decisions, every order ends, equity reconciles with fills and fees, runs are repeatable."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest

from orchestration.desk import documents, rows
from orchestration.desk.book import Book
from orchestration.desk.clock import MINUTE, SECOND
from orchestration.desk.engine import Change, Engine
from orchestration.desk.roster import PAPER, PAPER_CRYPTO, Account
from tests.unit.desk.conftest import at, make_scene


def run(
    account: Account, start: int, end: int, rate: float, *, until: int | None = None, seconds: int = 60
) -> Iterator[tuple[Change, Decimal]]:
    """All changes between two moments, each with the cash of its moment; lazily, so that states are of the moment."""
    stage = make_scene()
    book = Book(account.capital)
    engine = Engine(
        account,
        stage.market,
        stage.indicators,
        book,
        start_us=start,
        rate=lambda _: rate,
        snapshot_seconds=seconds,
        until_us=until,
        snapshot_at_start=True,
    )
    for change in engine.advance(end):
        yield change, book.cash


def test_the_equity_account_acts_in_sessions_only() -> None:
    changes = [change for change, _ in run(PAPER, at(26, 12), at(29, 0), 0.2)]
    decided = [change.us for change in changes if change.kind == "planned"]
    assert len(decided) > 1000
    for us in [change.us for change in changes]:
        assert at(26, 14, 30) <= us <= at(26, 21) or at(28, 14, 30) <= us <= at(28, 18), "no holiday, no late hours"
    snapshots = {change.us for change in changes if change.snapshot is not None}
    assert {at(26, 14, 30), at(26, 21), at(28, 14, 30), at(28, 18)} <= snapshots
    assert len(snapshots) == 391 + 211
    ends = Counter(change.ticket.status for change in changes if change.ticket is not None)
    assert ends["expired"] > 0


def test_every_decision_ends_and_outcomes_are_mixed() -> None:
    end = at(25, 6)
    changes = [change for change, _ in run(PAPER_CRYPTO, at(25, 0), end, 0.2, until=end)]
    tickets = {change.ticket.decision.id: change.ticket for change in changes if change.ticket is not None}
    assert all(ticket.order is None or ticket.order.final for ticket in tickets.values())
    assert {ticket.status for ticket in tickets.values()} == {"filled", "canceled", "expired", "rejected"}
    orders = [ticket.order for ticket in tickets.values() if ticket.order is not None]
    assert any(0 < order.filled_qty < order.qty for order in orders if order.status == "canceled")
    assert any(order.status == "rejected" for order in orders)
    stages = {ticket.plan.refusal.stage for ticket in tickets.values() if ticket.plan.refusal is not None}
    assert stages == {"rejected_pre_submit", "rejected_submit"}
    assert {order.order_type for order in orders} == {"market", "limit"}
    assert Counter(change.kind for change in changes)["reviewed"] > 0
    short = {key for key, qty in _held(changes).items() if qty < 0}
    assert {strategy for strategy, _ in short} <= {s.id for s in PAPER_CRYPTO.strategies if s.shorts}
    assert short


def test_long_only_strategies_never_go_short() -> None:
    for account in (PAPER, PAPER_CRYPTO):
        long_only = {strategy.id for strategy in account.strategies if not strategy.shorts}
        held: Counter[tuple[str, str]] = Counter()
        for change, _ in run(account, at(25, 14, 30), at(25, 18), 0.5):
            if change.event is not None and change.event.qty is not None:
                assert change.ticket is not None
                assert change.ticket.order is not None
                key = (change.ticket.decision.strategy.id, change.ticket.decision.instrument.symbol)
                held[key] += change.event.qty * change.ticket.order.sign  # type: ignore[assignment]
                assert held[key] >= 0 or key[0] not in long_only


@pytest.mark.parametrize("account", [PAPER, PAPER_CRYPTO], ids=lambda account: account.label)
def test_equity_reconciles_exactly_between_any_two_snapshots(account: Account) -> None:
    paid = fees = Decimal(0)
    held: dict[str, Decimal] = {}
    paid_fees: dict[str, Decimal] = {}
    checked = 0
    for change, cash in run(account, at(25, 14, 30), at(25, 20), 0.3):
        if change.event is not None and change.event.qty is not None and change.event.price is not None:
            ticket = change.ticket
            assert ticket is not None
            assert ticket.order is not None
            signed = change.event.qty * ticket.order.sign
            paid += signed * change.event.price
            fees += ticket.order.fee - paid_fees.get(ticket.order.order_id, Decimal(0))
            paid_fees[ticket.order.order_id] = ticket.order.fee
            symbol = ticket.decision.instrument.symbol
            held[symbol] = held.get(symbol, Decimal(0)) + signed
        if change.snapshot is not None:
            assert {h.symbol: h.qty for h in change.snapshot.holdings} == {s: q for s, q in held.items() if q}
            value = sum((h.qty * h.price for h in change.snapshot.holdings), Decimal(0))
            assert change.snapshot.cash == cash == account.capital - paid - fees
            assert change.snapshot.equity == account.capital - paid - fees + value
            checked += 1
    assert checked > 300
    assert fees > 0


def test_two_runs_write_the_same_rows() -> None:
    def written() -> list[rows.Row]:
        return [
            rows.event_row(change) if change.event is not None else rows.decision_row(change.ticket)
            for change, _ in run(PAPER_CRYPTO, at(25, 0), at(25, 1), 0.2)
            if change.ticket is not None
        ]

    first = written()
    assert len(first) > 500
    assert first == written()


def test_stopping_and_going_on_decides_nothing_that_cannot_end() -> None:
    end = at(25, 0, 30)
    changes = [change for change, _ in run(PAPER_CRYPTO, at(25, 0), end, 1.0, until=end)]
    assert max(change.us for change in changes) <= end
    assert all(c.ticket.plan.end_us <= end for c in changes if c.ticket is not None)


def test_snapshots_come_every_fifteen_seconds() -> None:
    snapshots = [c.us for c, _ in run(PAPER_CRYPTO, at(25, 0) + 3, at(25, 0, 10), 0.1, seconds=15) if c.snapshot]
    assert snapshots[0] == at(25, 0) + 3
    assert [us % (15 * SECOND) for us in snapshots[1:]] == [0] * 40
    assert snapshots[-1] - snapshots[1] == 10 * MINUTE - 15 * SECOND


def test_documents_have_the_shapes_of_torghut() -> None:
    end = at(25, 20)
    changes = [change for change, _ in run(PAPER, at(25, 14, 30), end, 0.2, until=end)]
    filled = next(c.ticket for c in changes if c.ticket is not None and c.ticket.status == "filled")
    document = documents.decision_document(filled, sized=True)
    assert document["qty"] == f"{filled.decision.qty:f}"
    assert document["params"]["price_snapshot"]["price"] == document["params"]["price"]
    assert document["params"]["portfolio_sizing"]["output"]["final_qty"] == f"{filled.plan.sized_qty:f}"
    assert "confidence" not in document
    assert filled.order is not None
    order = documents.raw_order(filled.decision.id, "hash", filled.order, "alpaca")
    assert order["cost_basis"] == "broker_reported_commission"
    assert order["cost_amount"] == f"{filled.order.fee:f}"
    assert order["submitted_at"] < order["filled_at"]
    assert order["canceled_at"] is None
    refused = next(c.ticket for c in changes if c.kind == "refused")
    assert refused is not None
    assert refused.plan.refusal is not None
    assert documents.decision_document(refused, sized=True)["risk_reasons"] == [refused.plan.refusal.reason]
    short = next(
        position
        for change, _ in run(PAPER_CRYPTO, at(25, 0), at(26, 12), 0.01)
        if change.snapshot is not None
        for position in documents.positions(change.snapshot)
        if position["side"] == "short"
    )
    assert short["qty"].startswith("-")
    assert short["market_value"].startswith("-")


def _held(changes: list[Change]) -> Counter[tuple[str, str]]:
    held: Counter[tuple[str, str]] = Counter()
    for change in changes:
        if change.event is not None and change.event.qty is not None and change.ticket is not None:
            assert change.ticket.order is not None
            key = (change.ticket.decision.strategy.id, change.ticket.decision.instrument.symbol)
            held[key] += change.event.qty * change.ticket.order.sign  # type: ignore[assignment]
    return held
