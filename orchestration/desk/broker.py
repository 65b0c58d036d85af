"""What becomes of a decision: sizing, review, refusals, and the broker's events of its order, planned ahead.

The market is a function of time, so the whole plan of a decision can be drawn when it is made; history applies it at
once, the live desk step by step as the moments come.
"""

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from orchestration.desk.clock import SECOND
from orchestration.desk.execution import OrderEvent
from orchestration.desk.market import Market
from orchestration.desk.strategies import Decision

_MILLISECOND = 1000

# Shares of decisions, of the order of what a paper desk sees.
_REFUSED = 0.10
_SUBMIT_REJECTED = 0.015
_ORDER_REJECTED = 0.015
_REVIEWED = 0.20
_SIZED_DOWN = 0.10

_POLICY_REASONS = (
    "max_position_pct_exceeded",
    "max_notional_exceeded",
    "symbol_capacity_exhausted",
    "gross_exposure_capacity_exhausted",
    "cooldown_active",
    "participation_exceeds_max",
    "max_notional_exceeded;max_position_pct_exceeded",
)
_SUBMIT_REASONS = (
    "alpaca_order_rejected code=40310000 reason=insufficient buying power existing_order_id=None",
    "alpaca_order_rejected code=40310000 reason=potential wash trade detected existing_order_id=None",
    "alpaca_order_submit_failed ReadTimeout: the broker did not answer in time",
)


@dataclass(frozen=True, slots=True)
class Review:
    """A language model's opinion on a decision."""

    us: int
    verdict: str
    confidence: float
    adjusted_qty: Decimal | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The end of a decision without an order: by policy or review before submission, or by the broker at submission."""

    us: int
    reason: str
    stage: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will happen to a decision, in the order of time.

    `submitted_us` is the broker's time of submission, `acknowledged_us` the desk's clock after its answer.
    """

    sized_us: int
    sized_qty: Decimal
    review: Review | None
    refusal: Refusal | None
    submitted_us: int
    acknowledged_us: int
    events: tuple[OrderEvent, ...]

    @property
    def end_us(self) -> int:
        """When the decision is final."""
        return self.refusal.us if self.refusal is not None else self.events[-1].us


def plan(decision: Decision, market: Market, rng: Random, closes_us: int | None) -> Plan:
    """Draw what becomes of `decision`. Orders still open at `closes_us` expire then."""
    instrument = decision.instrument
    sized_us = decision.created_us + rng.randint(15, 80) * _MILLISECOND
    qty = decision.qty
    if rng.random() < _SIZED_DOWN:
        qty = max(instrument.lot, qty * rng.randint(5, 9) / 10 // instrument.lot * instrument.lot)
    us = sized_us + rng.randint(5, 40) * _MILLISECOND
    review = None
    if rng.random() < _REVIEWED:
        us += rng.randint(300, 2500) * _MILLISECOND
        review = _review(us, qty, instrument.lot, rng)
        qty = review.adjusted_qty or qty
        us += 5 * _MILLISECOND
    refusal = _refusal(us, review, rng)
    submitted_us = us + rng.randint(20, 90) * _MILLISECOND
    acknowledged_us = submitted_us + rng.randint(15, 70) * _MILLISECOND
    if refusal is None and rng.random() < _SUBMIT_REJECTED:
        refusal = Refusal(acknowledged_us, rng.choice(_SUBMIT_REASONS), "rejected_submit")
    events: tuple[OrderEvent, ...] = ()
    if refusal is None:
        events = _until_close(_events(decision, qty, market, rng, acknowledged_us), closes_us)
    return Plan(sized_us, qty, review, refusal, submitted_us, acknowledged_us, events)


def _review(us: int, qty: Decimal, lot: Decimal, rng: Random) -> Review:
    verdict = rng.choices(("approve", "adjust", "veto", "error"), (80, 10, 5, 5))[0]
    adjusted = max(lot, qty / 2 // lot * lot) if verdict == "adjust" else None
    return Review(us, verdict, round(rng.uniform(0.55, 0.95), 4), adjusted)


def _refusal(us: int, review: Review | None, rng: Random) -> Refusal | None:
    if review is not None and review.verdict == "veto":
        return Refusal(us, "llm_veto", "rejected_pre_submit")
    if rng.random() < _REFUSED:
        return Refusal(us, rng.choice(_POLICY_REASONS), "rejected_pre_submit")
    return None


def _events(decision: Decision, qty: Decimal, market: Market, rng: Random, us: int) -> list[OrderEvent]:
    us += rng.randint(3, 25) * _MILLISECOND
    if rng.random() < _ORDER_REJECTED:
        return [OrderEvent(us + rng.randint(20, 400) * _MILLISECOND, "rejected")]
    events = [OrderEvent(us, "new")]
    if decision.limit_price is None:
        return events + _market_fills(decision, qty, market, rng, us)
    return events + _limit_fills(decision, qty, decision.limit_price, market, rng, us)


def _market_fills(decision: Decision, qty: Decimal, market: Market, rng: Random, us: int) -> list[OrderEvent]:
    """Return the fills of a market order: mostly one, sometimes several over seconds, rarely cut short."""
    several = rng.random() < 0.28
    parts = _split(qty, decision.instrument.lot, rng.randint(2, 5) if several else 1, rng)
    left_over = len(parts) > 1 and rng.random() < 0.15
    events: list[OrderEvent] = []
    filled = Decimal(0)
    us += rng.randint(20, 350) * _MILLISECOND
    for index, part in enumerate(parts):
        if index:
            us += rng.randint(200, 5000) * _MILLISECOND
        if left_over and index == len(parts) - 1:
            events.append(OrderEvent(us, "canceled"))
            break
        quote = market.quote(decision.instrument.symbol, us)
        tick = Decimal(1).scaleb(-decision.instrument.price_places)
        # One order in six walks the book by a quarter of the spread.
        walk = ((quote.ask - quote.bid) / 4 // tick * tick) if rng.random() < 0.17 else Decimal(0)
        price = quote.ask + walk if decision.side == "buy" else quote.bid - walk
        filled += part
        events.append(OrderEvent(us, "fill" if filled == qty else "partial_fill", part, price))
    return events


def _limit_fills(
    decision: Decision, qty: Decimal, limit: Decimal, market: Market, rng: Random, us: int
) -> list[OrderEvent]:
    """Return the fills of a resting order: at its limit while the market is near it, until its patience ends."""
    immediate = decision.time_in_force == "ioc"
    patience = us + (rng.randint(300, 2000) if immediate else rng.randint(8_000, 45_000)) * _MILLISECOND
    mean_wait = 1.5 if immediate else 8.0
    parts = _split(qty, decision.instrument.lot, rng.randint(2, 4) if rng.random() < 0.4 else 1, rng)
    reach = float(limit) * decision.instrument.spread_bps * 1.5 / 10_000
    sign = 1 if decision.side == "buy" else -1
    events: list[OrderEvent] = []
    filled = Decimal(0)
    while parts:
        us += max(10 * _MILLISECOND, int(rng.expovariate(1 / mean_wait) * SECOND))
        if us >= patience:
            events.append(OrderEvent(patience, "expired" if immediate else "canceled"))
            break
        # Somebody trades at the limit only while the market is near it or has crossed it.
        if (market.mid(decision.instrument.symbol, us) - float(limit)) * sign > reach:
            continue
        part = parts.pop()
        filled += part
        events.append(OrderEvent(us, "fill" if filled == qty else "partial_fill", part, limit))
    return events


def _split(qty: Decimal, lot: Decimal, count: int, rng: Random) -> list[Decimal]:
    """Return `qty` in at most `count` parts of whole lots."""
    lots = int(qty / lot)
    cuts = sorted(rng.sample(range(1, lots), min(count, lots) - 1)) if lots > 1 else []
    return [(end - start) * lot for start, end in zip([0, *cuts], [*cuts, lots], strict=True)]


def _until_close(events: list[OrderEvent], closes_us: int | None) -> tuple[OrderEvent, ...]:
    if closes_us is None or events[-1].us <= closes_us:
        return tuple(events)
    return (*(event for event in events if event.us < closes_us), OrderEvent(closes_us, "expired"))
