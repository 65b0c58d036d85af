"""The desk of one account as a sequence of dated changes: driven by a virtual clock for history, by the real one live.

The engine owns the books. It emits each change right after it has applied it, so a consumer that handles changes one
by one sees the state of that moment.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

from orchestration.desk.book import Book
from orchestration.desk.broker import Plan, plan
from orchestration.desk.clock import SECOND
from orchestration.desk.draws import stream
from orchestration.desk.execution import Order, OrderEvent
from orchestration.desk.indicators import IndicatorBook
from orchestration.desk.market import Market
from orchestration.desk.roster import Account, identifier
from orchestration.desk.strategies import Decision, Trader

# Nothing is decided in the last seconds of a session.
_QUIET_BEFORE_CLOSE = 20 * SECOND
# Order of what falls on the same microsecond: fills count in a snapshot of their moment, decisions come after.
_BROKER, _SNAPSHOT, _DECISION = 0, 1, 2

ChangeKind = Literal["planned", "sized", "reviewed", "refused", "submitted", "event", "snapshot"]


@dataclass(slots=True)
class Ticket:
    """A decision on its way: its plan and how far it has come."""

    decision: Decision
    plan: Plan
    status: str = "planned"
    order: Order | None = None
    executed_us: int | None = None


class Holding(NamedTuple):
    """One line of a snapshot."""

    symbol: str
    qty: Decimal
    average_price: Decimal
    price: Decimal
    last_day_price: Decimal


class Snapshot(NamedTuple):
    """State of the account at `us`, in dollars; equity = cash + sum of qty x price."""

    account: Account
    us: int
    equity: Decimal
    cash: Decimal
    buying_power: Decimal
    holdings: list[Holding]


class Change(NamedTuple):
    """Something that happened at `us`. `position_qty` is the account's net position after a fill."""

    us: int
    kind: ChangeKind
    ticket: Ticket | None = None
    event: OrderEvent | None = None
    position_qty: Decimal | None = None
    snapshot: Snapshot | None = None


class Engine:
    """Decisions, orders and snapshots of one account from `start_us` on.

    Args:
        rate: decisions per second of this account at a moment.
        until_us: nothing is decided that would not be final by then. None: no end.
        snapshot_at_start: whether to take one at `start_us` itself.
    """

    def __init__(
        self,
        account: Account,
        market: Market,
        indicators: IndicatorBook,
        book: Book,
        *,
        start_us: int,
        rate: Callable[[int], float],
        snapshot_seconds: int,
        until_us: int | None = None,
        snapshot_at_start: bool = False,
    ) -> None:
        self.account = account
        self.book = book
        self._market = market
        self._calendar = market.calendars[account.asset_class]
        self._trader = Trader(account, market, indicators)
        self._rng = stream(market.seed, "engine", account.label, start_us)
        self._rate = rate
        self._until_us = until_us
        self._every = snapshot_seconds * SECOND
        self._queue: list[tuple[int, int, int, Callable[[int], Iterator[Change]]]] = []
        self._count = 0
        self._sequence = 0
        self._resting_sells: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._equity = self.value(start_us).equity
        if snapshot_at_start and self._in_session(start_us):
            self._push(start_us, _SNAPSHOT, self._snapshot)
        self._plan_snapshot(start_us)
        self._plan_decision(start_us)

    @property
    def next_us(self) -> int | None:
        """When the next change is due."""
        return self._queue[0][0] if self._queue else None

    def advance(self, now_us: int) -> Iterator[Change]:
        """Yield every change up to and including `now_us`, each after it has been applied."""
        while self._queue and self._queue[0][0] <= now_us:
            us, _, _, action = heapq.heappop(self._queue)
            yield from action(us)

    def value(self, us: int) -> Snapshot:
        """Return the account's state at `us`, marked at the market."""
        holdings = []
        for symbol, position in self.book.open_positions():
            session = self._calendar.latest(us)
            before = self._calendar.latest(session.opens - 1) if session is not None else None
            mark = self._market.mark(symbol, us)
            last_day = mark if before is None else self._market.mark(symbol, before.closes - 1)
            holdings.append(Holding(symbol, position.qty, position.average_price, mark, last_day))
        marks = {holding.symbol: holding.price for holding in holdings}
        equity = self.book.equity(marks)
        leverage = 1 if self._calendar.continuous else 2
        buying_power = max(Decimal(0), equity * leverage - self.book.gross(marks))
        return Snapshot(self.account, us, equity, self.book.cash, buying_power, holdings)

    def _push(self, us: int, priority: int, action: Callable[[int], Iterator[Change]]) -> None:
        self._count += 1
        heapq.heappush(self._queue, (us, priority, self._count, action))

    def _in_session(self, us: int) -> bool:
        """Whether `us` is in a session, its close included."""
        return self._calendar.at(us) is not None or self._calendar.at(us - 1) is not None

    # --- snapshots

    def _plan_snapshot(self, after_us: int) -> None:
        us = after_us - after_us % self._every + self._every
        if not self._in_session(us):
            following = self._calendar.following(us)
            if following is None:
                return
            us = following.opens
        self._push(us, _SNAPSHOT, self._snapshot_and_next)

    def _snapshot_and_next(self, us: int) -> Iterator[Change]:
        yield from self._snapshot(us)
        self._plan_snapshot(us)

    def _snapshot(self, us: int) -> Iterator[Change]:
        snapshot = self.value(us)
        self._equity = snapshot.equity
        yield Change(us, "snapshot", snapshot=snapshot)

    # --- decisions

    def _plan_decision(self, after_us: int) -> None:
        us = after_us
        if self._calendar.at(us) is None:
            following = self._calendar.following(us)
            if following is None:
                return
            us = following.opens
        pace = self._rate(us) * self._market.activity(self.account.asset_class, us)
        self._push(us + int(self._rng.expovariate(pace) * SECOND) + 1, _DECISION, self._decide)

    def _decide(self, us: int) -> Iterator[Change]:
        self._plan_decision(us)
        session = self._calendar.at(us)
        if session is None or (not self._calendar.continuous and us > session.closes - _QUIET_BEFORE_CLOSE):
            return
        per_day = self._rate(us) * (session.closes - session.opens) / SECOND
        slice_notional = max(self.account.smallest_slice, float(self.account.capital) * self.account.turnover / per_day)
        decision = self._trader.decide(us, self._rng, self.book, self._resting_sells, self._equity, slice_notional)
        closes = None if self._calendar.continuous else session.closes
        ticket = Ticket(decision, plan(decision, self._market, self._rng, closes))
        if self._until_us is not None and ticket.plan.end_us > self._until_us:
            return
        self._schedule(ticket)
        yield Change(us, "planned", ticket)

    def _schedule(self, ticket: Ticket) -> None:
        steps = ticket.plan
        self._push(steps.sized_us, _BROKER, lambda us: iter([Change(us, "sized", ticket)]))
        if steps.review is not None:
            self._push(steps.review.us, _BROKER, lambda us: iter([Change(us, "reviewed", ticket)]))
        if steps.refusal is not None:
            self._push(steps.refusal.us, _BROKER, lambda us: self._refuse(ticket, us))
            return
        if ticket.decision.side == "sell":
            self._resting_sells[ticket.decision.strategy.id, ticket.decision.instrument.symbol] += steps.sized_qty
        self._push(steps.acknowledged_us, _BROKER, lambda us: self._submit(ticket, us))
        for event in steps.events:
            self._push(event.us, _BROKER, lambda _, event=event: self._order_event(ticket, event))  # type: ignore[misc]

    def _refuse(self, ticket: Ticket, us: int) -> Iterator[Change]:
        ticket.status = "rejected"
        yield Change(us, "refused", ticket)

    def _submit(self, ticket: Ticket, us: int) -> Iterator[Change]:
        decision = ticket.decision
        ticket.order = Order(
            order_id=identifier("order", decision.id),
            instrument=decision.instrument,
            side=decision.side,
            order_type=decision.order_type,
            time_in_force=decision.time_in_force,
            qty=ticket.plan.sized_qty,
            limit_price=decision.limit_price,
            submitted_us=ticket.plan.submitted_us,
            updated_us=us,
        )
        ticket.status = "submitted"
        ticket.executed_us = us
        yield Change(us, "submitted", ticket)

    def _order_event(self, ticket: Ticket, event: OrderEvent) -> Iterator[Change]:
        order = ticket.order
        assert order is not None
        # Microseconds, made strictly increasing: a feed sequence that needs no memory over restarts.
        self._sequence = max(self._sequence + 1, event.us)
        fee = order.apply(event, self._sequence)
        decision = ticket.decision
        key = (decision.strategy.id, decision.instrument.symbol)
        if event.qty is not None and event.price is not None:
            self.book.fill(*key, event.qty * order.sign, event.price, fee)
        if order.side == "sell":
            # The filled part is no more held, the rest of a final order no more resting.
            self._resting_sells[key] -= order.qty - order.filled_qty if order.final else Decimal(0)
            self._resting_sells[key] -= event.qty or Decimal(0)
        if order.final:
            ticket.status = order.status
        yield Change(event.us, "event", ticket, event, self.book.positions[decision.instrument.symbol].qty)
