"""The JSON documents of Torghut's rows, in the shapes and types that Torghut and Alpaca write (numbers as strings)."""

import hashlib
import json
from decimal import Decimal
from typing import Any

from orchestration.desk.clock import iso
from orchestration.desk.engine import Change, Holding, Snapshot, Ticket
from orchestration.desk.execution import CRYPTO_TAKER_FEE, EQUITY_FEE_PER_SHARE, Order
from orchestration.desk.roster import Account, asset_id, identifier
from orchestration.desk.strategies import Decision

COST_BASIS = "broker_reported_commission"
SIMULATOR_VERSION = "desk-1"

_ENCODER = json.JSONEncoder(separators=(",", ":"))


def dump(document: Any) -> str:
    """Return the JSON text."""
    return _ENCODER.encode(document)


def text(number: Decimal | None) -> str | None:
    """Return a decimal as plain text without exponent."""
    return None if number is None else f"{number:f}"


def decision_hash(decision: Decision) -> str:
    """Return the identity of the decision before sizing; the broker knows it as the client order id."""
    parts = (
        decision.strategy.id,
        decision.account.label,
        decision.instrument.symbol,
        decision.signal_us,
        decision.created_us,
        decision.side,
        decision.qty,
        decision.order_type,
    )
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def decision_document(ticket: Ticket, *, sized: bool) -> dict[str, Any]:
    """Return `decision_json`: as planned, or with what sizing, execution policy and a refusal have added."""
    decision = ticket.decision
    params = _signal_params(decision)
    document: dict[str, Any] = {
        "strategy_id": decision.strategy.id,
        "symbol": decision.instrument.symbol,
        "event_ts": iso(decision.signal_us),
        "timeframe": decision.strategy.timeframe,
        "action": decision.side,
        "qty": text(decision.qty),
        "order_type": decision.order_type,
        "time_in_force": decision.time_in_force,
        "limit_price": text(decision.limit_price),
        "stop_price": None,
        "rationale": ",".join(decision.tags),
        "params": params,
    }
    if not sized:
        return document
    params |= _sized_params(ticket)
    review, refusal = ticket.plan.review, ticket.plan.refusal
    if review is not None and review.adjusted_qty is not None:
        document["llm_adjusted_decision"] = {"qty": text(review.adjusted_qty), "order_type": decision.order_type}
    if refusal is not None and ticket.status == "rejected":
        document["risk_reasons"] = [refusal.reason]
        document["submission_stage"] = refusal.stage
        document["reject_class"] = "broker_precheck" if refusal.stage == "rejected_submit" else "policy"
    elif ticket.order is not None:
        document["submission_stage"] = "submitted"
    return document


def _signal_params(decision: Decision) -> dict[str, Any]:
    quote, signals = decision.quote, decision.indicators
    return {
        "macd": f"{signals.macd:.6f}",
        "macd_signal": f"{signals.macd_signal:.6f}",
        "rsi": f"{signals.rsi14:.4f}",
        "price": text(decision.price),
        "volatility": f"{signals.volatility_w60s:.8f}",
        "spread": text(quote.ask - quote.bid),
        "imbalance": {"spread": text(quote.ask - quote.bid)},
        "price_snapshot": {
            "as_of": iso(decision.signal_us),
            "price": text(decision.price),
            "spread": None,
            "source": "ta_microbars",
        },
        "strategy_runtime": {
            "plugin_id": decision.strategy.plugin,
            "plugin_version": "1.0.0",
            "parameter_hash": decision.strategy.id.replace("-", "")[:16],
            "required_features": ["macd", "macd_signal", "rsi14", "price"],
        },
    }


def _sized_params(ticket: Ticket) -> dict[str, Any]:
    decision, qty = ticket.decision, ticket.plan.sized_qty
    notional = qty * decision.price
    half_spread_bps = float((decision.quote.ask - decision.quote.bid) / decision.price) * 5000
    equity_class = decision.instrument.asset_class == "us_equity"
    commission_bps = float(EQUITY_FEE_PER_SHARE / decision.price if equity_class else CRYPTO_TAKER_FEE) * 10_000
    p50, p95 = expected_shortfall(decision)
    adapter, expected = adapters(decision)
    return {
        "sizing": {
            "method": "target_position",
            "notional_budget": f"{decision.equity * Decimal(str(decision.strategy.weight)):.2f}",
            "price": text(decision.price),
            "reason": None,
        },
        "portfolio_sizing": {
            "inputs": {"equity": f"{decision.equity:.2f}", "price": text(decision.price), "qty": text(decision.qty)},
            "config": {"max_position_pct_equity": str(decision.strategy.weight)},
            "output": {
                "status": "approved" if qty == decision.qty else "adjusted",
                "final_qty": text(qty),
                "final_notional": text(notional),
                "methods": ["target_position"],
                "caps": [] if qty == decision.qty else ["per_trade_notional"],
                "reasons": [],
            },
        },
        "execution_policy": {
            "approved": ticket.plan.refusal is None,
            "reasons": [],
            "notional": text(notional),
            "participation_rate": "0.0001",
            "selected_order_type": decision.order_type,
            "retry_delays": ["0.5", "1.0", "2.0"],
        },
        "impact_assumptions": {
            "inputs": {"price": text(decision.price), "spread": text(decision.quote.ask - decision.quote.bid)},
            "model": {"commission_bps": f"{commission_bps:.4f}", "max_participation_rate": "0.1"},
            "estimate": {
                "notional": text(notional),
                "spread_cost_bps": f"{half_spread_bps:.4f}",
                "commission_cost_bps": f"{commission_bps:.4f}",
                "total_cost_bps": f"{half_spread_bps + commission_bps:.4f}",
                "capacity_ok": True,
                "warnings": [],
            },
        },
        "execution_adapter": {
            "selected": expected,
            "actual": adapter,
            "policy": "default",
            "symbol": decision.instrument.symbol,
        },
        "execution_advice": {
            "expected_shortfall_bps_p50": f"{p50:.4f}",
            "expected_shortfall_bps_p95": f"{p95:.4f}",
            "simulator_version": SIMULATOR_VERSION,
        },
    }


def expected_shortfall(decision: Decision) -> tuple[float, float]:
    """Return the simulator's median and 95th percentile of the shortfall, in basis points."""
    half_spread_bps = float((decision.quote.ask - decision.quote.bid) / decision.price) * 5000
    move_bps = decision.indicators.volatility_w60s * 10_000
    return half_spread_bps, half_spread_bps + 1.645 * move_bps


def adapters(decision: Decision) -> tuple[str, str]:
    """Return the adapter that acted and the one that was asked for: one decision in 32 asks for LEAN in vain."""
    return "alpaca", "lean" if decision.id[0] in "0" and decision.id[1] in "01234567" else "alpaca"


def raw_order(decision_id: str, client_order_id: str, order: Order, expected: str) -> dict[str, Any]:
    """Return the Alpaca order as of now, with Torghut's keys; the fee is there once something is filled."""
    submitted = iso(order.submitted_us)
    document: dict[str, Any] = {
        "id": order.order_id,
        "client_order_id": client_order_id,
        "created_at": submitted,
        "updated_at": iso(order.updated_us),
        "submitted_at": submitted,
        "filled_at": _when(order.ended.get("filled")),
        "expired_at": _when(order.ended.get("expired")),
        "canceled_at": _when(order.ended.get("canceled")),
        "failed_at": _when(order.ended.get("rejected")),
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": asset_id(order.instrument.symbol),
        "symbol": order.instrument.symbol,
        "asset_class": order.instrument.asset_class,
        "notional": None,
        "qty": text(order.qty),
        "filled_qty": text(order.filled_qty),
        "filled_avg_price": text(order.average_price),
        "order_class": "simple",
        "order_type": order.order_type,
        "type": order.order_type,
        "side": order.side,
        "time_in_force": order.time_in_force,
        "limit_price": text(order.limit_price),
        "stop_price": None,
        "status": order.status,
        "extended_hours": False,
        "legs": None,
        "_execution_adapter": "alpaca",
        "_execution_route_expected": expected,
        "_execution_correlation_id": decision_id,
        "_seq": order.sequence,
    }
    if order.filled_qty:
        document["cost_amount"] = text(order.fee)
        document["cost_basis"] = COST_BASIS
    return document


def trade_update(
    account_label: str, client_order_id: str, order: Order, change: Change, fill_price: Decimal | None
) -> dict[str, Any]:
    """Return the order feed's envelope of an event."""
    event = change.event
    assert event is not None
    payload: dict[str, Any] = {"event": event.kind, "timestamp": iso(event.us)}
    if event.qty is not None:
        payload |= {
            "price": text(fill_price),
            "qty": text(event.qty),
            "position_qty": text(change.position_qty),
            "execution_id": identifier("fill", order.order_id, order.sequence),
        }
    payload["order"] = {
        "id": order.order_id,
        "client_order_id": client_order_id,
        "symbol": order.instrument.symbol,
        "asset_class": order.instrument.asset_class,
        "side": order.side,
        "type": order.order_type,
        "time_in_force": order.time_in_force,
        "qty": text(order.qty),
        "filled_qty": text(order.filled_qty),
        "filled_avg_price": text(order.average_price),
        "limit_price": text(order.limit_price),
        "status": order.status,
        "submitted_at": iso(order.submitted_us),
        "updated_at": iso(event.us),
    }
    return {"channel": "trade_updates", "payload": payload, "seq": order.sequence, "account_label": account_label}


def positions(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the Alpaca positions of a snapshot; a short has negative quantity, value and cost."""
    return [_position(holding, snapshot.account) for holding in snapshot.holdings]


def _position(holding: Holding, account: Account) -> dict[str, Any]:
    value = holding.qty * holding.price
    cost = holding.qty * holding.average_price
    today = holding.qty * (holding.price - holding.last_day_price)
    before = abs(holding.qty * holding.last_day_price)
    crypto = account.asset_class == "crypto"
    return {
        "asset_id": asset_id(holding.symbol),
        "symbol": holding.symbol,
        "exchange": "CRYPTO" if crypto else "NASDAQ",
        "asset_class": account.asset_class,
        "asset_marginable": not crypto,
        "avg_entry_price": text(holding.average_price),
        "qty": text(holding.qty),
        "qty_available": text(holding.qty),
        "side": "long" if holding.qty > 0 else "short",
        "market_value": text(value),
        "cost_basis": text(cost),
        "unrealized_pl": text(value - cost),
        "unrealized_plpc": f"{(value - cost) / abs(cost):.8f}" if cost else "0",
        "unrealized_intraday_pl": text(today),
        "unrealized_intraday_plpc": f"{today / before:.8f}" if before else "0",
        "current_price": text(holding.price),
        "lastday_price": text(holding.last_day_price),
        "change_today": f"{holding.price / holding.last_day_price - 1:.8f}",
    }


def review_request(ticket: Ticket) -> dict[str, Any]:
    """Return `input_json` of a review."""
    decision, review = ticket.decision, ticket.plan.review
    assert review is not None
    return {
        "decision": {
            "strategy_id": decision.strategy.id,
            "symbol": decision.instrument.symbol,
            "action": decision.side,
            "qty": text(decision.qty),
            "order_type": decision.order_type,
            "time_in_force": decision.time_in_force,
            "event_ts": iso(decision.signal_us),
            "timeframe": decision.strategy.timeframe,
            "rationale": ",".join(decision.tags),
        },
        "portfolio": {"equity": f"{decision.equity:.2f}"},
        "market": {
            "symbol": decision.instrument.symbol,
            "as_of": iso(decision.signal_us),
            "price": text(decision.price),
            "spread": text(decision.quote.ask - decision.quote.bid),
            "source": "ta_microbars",
        },
        "market_context": _market_context(decision),
        "policy": {"adjustment_allowed": True, "min_qty_multiplier": "0.5", "max_qty_multiplier": "1.0"},
        "trading_mode": "paper",
        "prompt_version": "v1",
    }


def _market_context(decision: Decision) -> dict[str, Any]:
    """Return the bundle of context that a review sees; news is stale now and then."""
    stale = decision.id[2] in "0"
    age = int(decision.id[3], 16)
    domains: dict[str, dict[str, Any]] = {
        name: {
            "domain": name,
            "state": "stale" if stale and name == "news" else "ok",
            "as_of": iso(decision.signal_us),
            "freshness_seconds": age * (400 if stale and name == "news" else 10),
            "max_freshness_seconds": 3600 if name == "news" else 600,
            "source_count": 2,
            "quality_score": 0.4 if stale and name == "news" else 0.9,
            "risk_flags": [],
        }
        for name in ("technicals", "fundamentals", "news", "regime")
    }
    return {
        "context_version": "torghut.market-context.v1",
        "symbol": decision.instrument.symbol,
        "as_of_utc": iso(decision.signal_us),
        "freshness_seconds": age * (400 if stale else 10),
        "quality_score": 0.75 if stale else 0.9,
        "source_count": 8,
        "risk_flags": ["news_stale"] if stale else [],
        "domains": domains,
    }


def _when(us: int | None) -> str | None:
    return None if us is None else iso(us)
