"""Rows of the source tables: every column that any schema version has; the writer drops what a schema lacks."""

import hashlib
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from orchestration.desk import documents
from orchestration.desk.clock import to_datetime
from orchestration.desk.engine import Change, Snapshot, Ticket
from orchestration.desk.execution import Order
from orchestration.desk.roster import Account, Strategy, identifier

Row = tuple[Any, ...]

FEED_TOPIC = "torghut.trade-updates.v1"
_MODEL = "simulated-reviewer"
_PLACES = Decimal("0.00000001")

COLUMNS: dict[str, tuple[str, ...]] = {
    "strategies": (
        "id", "name", "description", "enabled", "base_timeframe", "universe_type", "universe_symbols",
        "max_position_pct_equity", "max_notional_per_trade", "created_at", "updated_at",
    ),
    "trade_decisions": (
        "id", "strategy_id", "alpaca_account_label", "symbol", "timeframe", "decision_json", "rationale", "status",
        "created_at", "decision_hash", "executed_at",
    ),
    "llm_decision_reviews": (
        "id", "trade_decision_id", "model", "prompt_version", "input_json", "response_json", "verdict", "confidence",
        "adjusted_qty", "adjusted_order_type", "rationale", "risk_flags", "tokens_prompt", "tokens_completion",
        "created_at",
    ),
    "executions": (
        "id", "trade_decision_id", "alpaca_order_id", "client_order_id", "symbol", "side", "order_type",
        "time_in_force", "submitted_qty", "filled_qty", "avg_fill_price", "status", "raw_order", "created_at",
        "updated_at", "last_update_at", "execution_expected_adapter", "execution_actual_adapter",
        "execution_fallback_reason", "execution_fallback_count", "order_feed_last_event_ts", "order_feed_last_seq",
        "execution_correlation_id", "execution_idempotency_key", "execution_audit_json", "alpaca_account_label",
    ),
    "execution_order_events": (
        "id", "event_fingerprint", "source_topic", "source_partition", "source_offset", "feed_seq", "event_ts",
        "symbol", "alpaca_order_id", "client_order_id", "event_type", "status", "qty", "filled_qty",
        "avg_fill_price", "raw_event", "execution_id", "trade_decision_id", "created_at", "alpaca_account_label",
        "filled_qty_delta", "filled_notional_delta", "fill_quantity_basis", "position_qty",
    ),
    "execution_tca_metrics": (
        "id", "execution_id", "trade_decision_id", "strategy_id", "alpaca_account_label", "symbol", "side",
        "arrival_price", "avg_fill_price", "filled_qty", "signed_qty", "slippage_bps", "shortfall_notional",
        "churn_qty", "churn_ratio", "computed_at", "created_at", "updated_at", "expected_shortfall_bps_p50",
        "expected_shortfall_bps_p95", "realized_shortfall_bps", "divergence_bps", "simulator_version",
    ),
    "position_snapshots": (
        "id", "alpaca_account_label", "as_of", "equity", "cash", "buying_power", "positions", "created_at",
    ),
}  # fmt: skip


def strategy_row(strategy: Strategy, account: Account, created_us: int) -> Row:
    """Return the row of a strategy."""
    created = to_datetime(created_us)
    return (
        strategy.id,
        strategy.name,
        strategy.description,
        True,
        strategy.timeframe,
        "symbols_list",
        documents.dump(list(account.symbols)),
        Decimal(str(strategy.weight)),
        account.capital * Decimal(str(strategy.weight)),
        created,
        created,
    )


def decision_row(ticket: Ticket, *, sized: bool = True) -> Row:
    """Return the row of a decision in its present state."""
    decision = ticket.decision
    return (
        decision.id,
        decision.strategy.id,
        decision.account.label,
        decision.instrument.symbol,
        decision.strategy.timeframe,
        documents.dump(documents.decision_document(ticket, sized=sized)),
        ",".join(decision.tags),
        ticket.status,
        to_datetime(decision.created_us),
        documents.decision_hash(decision),
        None if ticket.executed_us is None else to_datetime(ticket.executed_us),
    )


def decision_status_row(ticket: Ticket) -> Row:
    """Return the decision's row for an update of its status alone: the document is left out, it is costly."""
    values = {"id": ticket.decision.id, "status": ticket.status, "executed_at": _created(ticket)}
    return tuple(values.get(name) for name in COLUMNS["trade_decisions"])


def review_row(ticket: Ticket) -> Row:
    """Return the row of the decision's review."""
    decision, review = ticket.decision, ticket.plan.review
    assert review is not None
    failed = review.verdict == "error"
    reason = "llm_error_pass_through" if failed else f"{review.verdict}: {', '.join(decision.tags)}"
    response: dict[str, Any] = (
        {"error": "ReadTimeout", "fallback": "pass_through", "effective_verdict": "approve"}
        if failed
        else {"verdict": review.verdict, "confidence": review.confidence, "rationale": reason, "advisory_only": False}
    )
    return (
        identifier("review", decision.id),
        decision.id,
        _MODEL,
        "v1",
        documents.dump(documents.review_request(ticket)),
        documents.dump(response),
        review.verdict,
        None if failed else Decimal(str(review.confidence)),
        review.adjusted_qty,
        decision.order_type if review.adjusted_qty is not None else None,
        reason,
        documents.dump([]),
        None if failed else 900 + int(decision.id[:2], 16),
        None if failed else 80 + int(decision.id[:2], 16) // 4,
        to_datetime(review.us),
    )


def execution_id(order: Order) -> str:
    """Return the primary key of the order's row."""
    return identifier("execution", order.order_id)


def execution_row(ticket: Ticket) -> Row:
    """Return the row of the decision's order in its present state."""
    decision, order = ticket.decision, ticket.order
    assert order is not None
    assert ticket.executed_us is not None
    client_order_id = documents.decision_hash(decision)
    actual, expected = documents.adapters(decision)
    fallback = expected != actual
    updated = to_datetime(order.updated_us)
    return (
        execution_id(order),
        decision.id,
        order.order_id,
        client_order_id,
        decision.instrument.symbol,
        order.side,
        order.order_type,
        order.time_in_force,
        order.qty,
        order.filled_qty,
        order.average_price,
        order.status,
        documents.dump(documents.raw_order(decision.id, client_order_id, order, expected)),
        to_datetime(ticket.executed_us),
        updated,
        updated,
        expected,
        actual,
        "lean_submit_order_timeout" if fallback else None,
        1 if fallback else 0,
        updated if order.sequence else None,
        order.sequence or None,
        decision.id,
        client_order_id,
        documents.dump({"correlation_id": decision.id, "idempotency_key": client_order_id}),
        decision.account.label,
    )


def event_row(change: Change) -> Row:
    """Return the row of an order event; the partition tells the accounts apart in the feed."""
    ticket, event = change.ticket, change.event
    assert ticket is not None
    assert event is not None
    assert ticket.order is not None
    order, account = ticket.order, ticket.decision.account
    client_order_id = documents.decision_hash(ticket.decision)
    moment = to_datetime(event.us)
    name = f"{FEED_TOPIC}|{account.partition}|{order.sequence}|{order.order_id}|{event.kind}"
    filled = event.qty is not None and event.price is not None
    return (
        identifier("event", name),
        hashlib.sha256(name.encode()).hexdigest(),
        FEED_TOPIC,
        account.partition,
        order.sequence,
        order.sequence,
        moment,
        order.instrument.symbol,
        order.order_id,
        client_order_id,
        event.kind,
        order.status,
        order.qty,
        order.filled_qty,
        order.average_price,
        documents.dump(documents.trade_update(account.label, client_order_id, order, change, event.price)),
        execution_id(order),
        ticket.decision.id,
        moment,
        account.label,
        event.qty,
        event.qty * event.price if event.qty is not None and event.price is not None else None,
        "delta" if filled else None,
        change.position_qty if filled else None,
    )


def tca_row(ticket: Ticket) -> Row:
    """Return the transaction cost row of the decision's order; costs of the filled part against the decision price."""
    decision, order = ticket.decision, ticket.order
    assert order is not None
    average, arrival = order.average_price, decision.price
    slippage = shortfall = divergence = None
    p50, p95 = (_rounded(Decimal(value)) for value in documents.expected_shortfall(decision))
    if average is not None:
        slippage = _rounded(order.sign * (average - arrival) / arrival * 10_000)
        shortfall = _rounded(order.sign * (average - arrival) * order.filled_qty)
        divergence = slippage - p50
    updated = to_datetime(order.updated_us)
    return (
        identifier("tca", order.order_id),
        execution_id(order),
        decision.id,
        decision.strategy.id,
        decision.account.label,
        decision.instrument.symbol,
        order.side,
        arrival,
        average,
        order.filled_qty,
        order.sign * order.filled_qty,
        slippage,
        shortfall,
        Decimal(0),
        Decimal(0),
        updated,
        _created(ticket),
        updated,
        p50,
        p95,
        slippage,
        divergence,
        documents.SIMULATOR_VERSION,
    )


def snapshot_row(snapshot: Snapshot) -> Row:
    """Return the row of an account snapshot."""
    moment = to_datetime(snapshot.us)
    return (
        identifier("snapshot", snapshot.account.label, snapshot.us),
        snapshot.account.label,
        moment,
        _rounded(snapshot.equity),
        _rounded(snapshot.cash),
        _rounded(snapshot.buying_power),
        documents.dump(documents.positions(snapshot)),
        moment,
    )


def _created(ticket: Ticket) -> datetime:
    assert ticket.executed_us is not None
    return to_datetime(ticket.executed_us)


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(_PLACES, ROUND_HALF_EVEN)
