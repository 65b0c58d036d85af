"""Picking up where the desk stopped: last activity, books and orphaned orders, all from the source itself."""

from decimal import Decimal
from typing import Any

import psycopg

from orchestration.desk import documents
from orchestration.desk.book import Book, Position
from orchestration.desk.calendar import Calendar
from orchestration.desk.clock import iso, to_datetime, to_us
from orchestration.desk.execution import FINAL
from orchestration.desk.instruments import INSTRUMENTS
from orchestration.desk.market import Market
from orchestration.desk.roster import Account, identifier
from orchestration.desk.rows import COLUMNS, FEED_TOPIC, Row
from orchestration.desk.writer import Statement, Writer

_PRICE = Decimal("0.00000001")

_LAST_ACTIVITY = """
select greatest(
    (select max(as_of) from position_snapshots where alpaca_account_label = %(account)s),
    (select max(created_at) from trade_decisions
     where alpaca_account_label = %(account)s and strategy_id = any(%(strategies)s::uuid[])),
    (select max(e.updated_at) from executions e join trade_decisions d on d.id = e.trade_decision_id
     where d.alpaca_account_label = %(account)s and d.strategy_id = any(%(strategies)s::uuid[]))
)
"""
# Quantity x average price, rounded to the places that the product of a lot and a tick can have, is the exact notional:
# the average's own rounding is far below.
_BALANCES = """
select d.strategy_id::text, e.symbol,
    sum(case e.side when 'buy' then e.filled_qty else -e.filled_qty end),
    sum(case e.side when 'buy' then 1 else -1 end * round(e.filled_qty * e.avg_fill_price, p.places)),
    sum(coalesce((e.raw_order ->> 'cost_amount')::numeric, 0))
from executions e
join trade_decisions d on d.id = e.trade_decision_id
join unnest(%(symbols)s::text[], %(places)s::int[]) p (symbol, places) on p.symbol = e.symbol
where d.alpaca_account_label = %(account)s and d.strategy_id = any(%(strategies)s::uuid[]) and e.filled_qty > 0
group by 1, 2
"""
_OPEN_ORDERS = """
select e.id::text, e.trade_decision_id::text, e.alpaca_order_id, e.client_order_id, e.symbol, e.submitted_qty,
    e.filled_qty, e.avg_fill_price, e.updated_at, e.raw_order, e.created_at
from executions e join trade_decisions d on d.id = e.trade_decision_id
where d.alpaca_account_label = %(account)s and d.strategy_id = any(%(strategies)s::uuid[])
    and e.status <> all(%(final)s)
order by e.updated_at, e.id
"""
_ORPHANED_DECISIONS = """
update trade_decisions d set status = 'rejected', decision_json = decision_json || %(note)s::jsonb
where alpaca_account_label = %(account)s and strategy_id = any(%(strategies)s::uuid[]) and status = 'planned'
"""
_ORPHAN_NOTE = documents.dump(
    {
        "risk_reasons": ["decision_handler_error DeskRestarted"],
        "submission_stage": "rejected_handler_error",
        "reject_class": "runtime",
    }
)


def last_activity(connection: psycopg.Connection, account: Account) -> int | None:
    """Return the time of the newest row of the account, in microseconds."""
    row = connection.execute(_LAST_ACTIVITY, _names(account)).fetchone()
    return None if row is None or row[0] is None else to_us(row[0])


def restore_book(connection: psycopg.Connection, account: Account, market: Market, us: int) -> Book:
    """Rebuild the books from the orders; average prices from the last snapshot, moved on at the price of `us`."""
    symbols = list(account.symbols)
    parameters = _names(account) | {
        "symbols": symbols,
        "places": [INSTRUMENTS[symbol].notional_places for symbol in symbols],
    }
    book = Book(account.capital)
    for strategy_id, symbol, qty, notional, fee in connection.execute(_BALANCES, parameters):
        qty = qty.quantize(INSTRUMENTS[symbol].lot)
        book.cash -= notional + fee
        book.held[strategy_id, symbol] = qty
        book.positions[symbol].qty += qty
    known = _snapshot_positions(connection, account)
    for symbol, position in book.open_positions():
        before = known.get(symbol, Position())
        if position.qty != before.qty:
            before.fill(position.qty - before.qty, market.mark(symbol, us))
        position.average_price = before.average_price
    return book


def close_orphans(connection: psycopg.Connection, writer: Writer, account: Account, calendar: Calendar, us: int) -> int:
    """End what an earlier run left open; return how many orders. Open orders are canceled at `us`, or expire at the
    close of their session; decisions that never reached the broker are rejected."""
    with connection.transaction():
        connection.execute(_ORPHANED_DECISIONS, _names(account) | {"note": _ORPHAN_NOTE})
        orders = connection.execute(_OPEN_ORDERS, _names(account) | {"final": sorted(FINAL)}).fetchall()
        session = calendar.latest(us)
        closed = session is not None and us >= session.closes
        moment = session.closes if session is not None and closed else us
        for order in orders:
            # The feed's sequence is the time in microseconds: made increasing, so that no two events share it.
            moment = max(moment, to_us(order[8])) + 1
            writer.write(_end(order, account, "expired" if closed else "canceled", moment))
    return len(orders)


def _end(order: tuple[Any, ...], account: Account, status: str, ended_us: int) -> list[Statement]:
    (key, decision_id, order_id, client_order_id, symbol, qty, filled, average, _, raw, created_at) = order
    moment = to_datetime(ended_us)
    raw |= {"status": status, f"{status}_at": iso(ended_us), "updated_at": iso(ended_us), "_seq": ended_us}
    envelope = {
        "channel": "trade_updates",
        "payload": {
            "event": status,
            "timestamp": iso(ended_us),
            "order": {name: raw[name] for name in ("id", "client_order_id", "symbol", "qty", "filled_qty", "status")},
        },
        "seq": ended_us,
        "account_label": account.label,
    }
    execution = {
        "id": key, "filled_qty": filled, "avg_fill_price": average, "status": status,
        "raw_order": documents.dump(raw), "updated_at": moment, "last_update_at": moment,
        "order_feed_last_event_ts": moment, "order_feed_last_seq": ended_us,
    }  # fmt: skip
    event = {
        "id": identifier("event", order_id, status), "event_fingerprint": identifier("fingerprint", order_id, status),
        "source_topic": FEED_TOPIC, "source_partition": account.partition, "source_offset": ended_us,
        "feed_seq": ended_us, "event_ts": moment, "symbol": symbol, "alpaca_order_id": order_id,
        "client_order_id": client_order_id, "event_type": status, "status": status, "qty": qty, "filled_qty": filled,
        "avg_fill_price": average, "raw_event": documents.dump(envelope), "execution_id": key,
        "trade_decision_id": decision_id, "created_at": moment, "alpaca_account_label": account.label,
    }  # fmt: skip
    decision = {"id": decision_id, "status": status, "executed_at": created_at}
    return [
        Statement("executions", "update", _row("executions", execution)),
        Statement("execution_order_events", "insert", _row("execution_order_events", event)),
        Statement("trade_decisions", "status", _row("trade_decisions", decision)),
    ]


def _snapshot_positions(connection: psycopg.Connection, account: Account) -> dict[str, Position]:
    row = connection.execute(
        "select positions from position_snapshots where alpaca_account_label = %s order by as_of desc limit 1",
        (account.label,),
    ).fetchone()
    return {
        held["symbol"]: Position(Decimal(held["qty"]), Decimal(held["avg_entry_price"]).quantize(_PRICE))
        for held in (row[0] if row is not None else [])
    }


def _names(account: Account) -> dict[str, Any]:
    return {"account": account.label, "strategies": [strategy.id for strategy in account.strategies]}


def _row(table: str, values: dict[str, Any]) -> Row:
    return tuple(values.get(name) for name in COLUMNS[table])
