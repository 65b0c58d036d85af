"""Load room: staged fills become strategies, decisions, orders and order events of the source."""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from orchestration.load import fill_sql

# Orders per transaction: an interrupted load keeps what it has written, and the next one goes on from there.
BATCH_ORDERS = 20_000


@dataclass(frozen=True)
class Refusal:
    """A staged row that turns out to be unusable beside the other rows of its file."""

    line: int
    reason: str


class FillWriter:
    """Writes the staged fills.

    With an order id, an order has its fills as order events and their sum as its row; the schema before the events
    (head 0005) can only hold one row per fill. Without an order id every fill is an order.
    """

    def __init__(self, connection: psycopg.Connection, asset_class: str, *, has_order_ids: bool) -> None:
        self._connection = connection
        self._asset_class = asset_class
        self._orders = _columns_of(connection, "executions")
        self._events = _columns_of(connection, "execution_order_events")
        self._has_order_ids = has_order_ids
        self._grouped = has_order_ids and bool(self._events)

    def check(self) -> tuple[list[Refusal], int]:
        """Compare the staged rows with each other and take out what cannot be loaded.

        Returns:
            The refusals, and how many rows repeat an earlier row of the same id and content.
        """
        refusals, repeats = [], 0
        for line, first_line, same in self._connection.execute(fill_sql.REPEATED_IDS):
            if same:
                repeats += 1
            else:
                refusals.append(Refusal(line, f"its fill id is that of line {first_line}, with other content"))
        self._connection.execute(fill_sql.DELETE_REPEATED_IDS)
        self._connection.execute(fill_sql.NUMBER_REPEATS)
        for line, order_key in self._connection.execute(fill_sql.MIXED_ORDERS):
            refusals.append(Refusal(line, f"order {order_key!r} has several symbols, sides or strategies"))
        self._connection.execute(fill_sql.DELETE_MIXED_ORDERS)
        return refusals, repeats

    def prepare(self) -> int:
        """Give every fill, order and decision its id; return how many orders there are to write."""
        connection = self._connection
        connection.execute(fill_sql.STRATEGIES)
        connection.execute(
            _fill_in(
                fill_sql.IDENTIFY, order_uuid=self._id_of("order", self._grouped), decision_uuid=self._id_of("decision")
            )
        )
        if self._grouped:
            connection.execute(fill_sql.DELETE_ORDERS_BY_FILL)
            connection.execute("create index on load_identified (order_uuid)")
            connection.execute(fill_sql.ADD_STORED_FILLS)
            connection.execute(fill_sql.ORDERS)
        else:
            shared = "sum(qty) over (partition by decision_uuid)" if self._has_order_ids else "qty"
            connection.execute(_fill_in(fill_sql.ORDERS_ARE_FILLS, decided_qty=shared))
        connection.execute("create index on load_order (o)")
        connection.execute("create index on load_order (id)")
        connection.execute("analyze load_identified")
        connection.execute("analyze load_order")
        row = connection.execute("select coalesce(max(o), 0) from load_order").fetchone()
        return int(row[0]) if row else 0

    def count_present(self) -> int:
        """Return how many of the staged fills the source already has."""
        table, key = ("execution_order_events", "id") if self._grouped else ("executions", "order_uuid")
        query = "select count(*) from load_identified as f join {table} as t on t.id = f.{key} where not f.stored"
        row = self._connection.execute(_fill_in(query, table=table, key=key)).fetchone()
        return int(row[0]) if row else 0

    def write(self, orders: int, on_batch: Callable[[int], None]) -> int:
        """Write all orders in batches, each a transaction; return how many fills were new."""
        new = 0
        with self._connection.transaction():
            self._connection.execute(fill_sql.INSERT_STRATEGIES)
        for first in range(1, orders + 1, BATCH_ORDERS):
            batch = (first, first + BATCH_ORDERS - 1)
            with self._connection.transaction():
                self._connection.execute(self._decision_statement(), batch)
                new_orders = self._connection.execute(self._order_statement(), batch).rowcount
                if self._grouped:
                    new += self._connection.execute(self._event_statement(), batch).rowcount
                else:
                    new += new_orders
            on_batch(min(batch[1], orders))
        return new

    def _id_of(self, kind: str, by_order: bool = True) -> str:
        by_fill = fill_sql.BY_FILL.replace("{kind}", kind)
        if not (by_order and self._has_order_ids):
            return by_fill
        return f"case when f.order_key is null then {by_fill} else {fill_sql.BY_ORDER.replace('{kind}', kind)} end"

    def _decision_statement(self) -> bytes:
        return _fill_in(fill_sql.INSERT_DECISIONS, on_conflict=fill_sql.UPDATE_DECISION if self._grouped else "nothing")

    def _order_statement(self) -> bytes:
        given = "o.order_key"
        if not (self._grouped and "alpaca_account_label" in self._orders):
            # Unique over all accounts before version 0013, and per fill without events.
            given += " || '#' || substr(o.id::text, 1, 13)"
        broker_id = f"coalesce({given}, 'load-' || o.id::text)"
        asset_class = sql.Literal(self._asset_class).as_string(self._connection)
        raw_order = _fill_in(fill_sql.RAW_ORDER, broker_id=broker_id, asset_class=asset_class).decode()
        client_order_id = "pg_temp.load_hash(o.decision_uuid)"
        if not self._grouped:
            client_order_id = f"case when o.order_key is null then {client_order_id} end"
        values: dict[str, str] = {
            "id": "o.id",
            "trade_decision_id": "o.decision_uuid",
            "alpaca_order_id": broker_id,
            "client_order_id": client_order_id,
            "symbol": "o.symbol",
            "side": "o.side",
            "order_type": "o.order_type",
            "time_in_force": "'day'",
            "submitted_qty": "o.qty",
            "filled_qty": "o.qty",
            "avg_fill_price": "o.price",
            "status": "'filled'",
            "raw_order": raw_order,
            "created_at": "coalesce(o.submitted_at, o.first_ts)",
            "updated_at": "o.last_ts",
            "last_update_at": "o.last_ts",
            "order_feed_last_event_ts": "o.last_ts" if self._grouped else "null",
            "order_feed_last_seq": "o.seq",
            "alpaca_account_label": "o.account",
        }
        return _statement(
            fill_sql.INSERT_ORDERS, values, self._orders, fill_sql.UPDATE_ORDER if self._grouped else "nothing"
        )

    def _event_statement(self) -> bytes:
        values: dict[str, str] = {
            "id": "f.id",
            "event_fingerprint": "encode(sha256(f.id::text::bytea), 'hex')",
            "source_topic": "'jangar-quant.load'",
            "feed_seq": "f.n",
            "event_ts": "f.ts",
            "symbol": "f.symbol",
            "alpaca_order_id": "f.order_key",
            "client_order_id": "pg_temp.load_hash(f.decision_uuid)",
            "event_type": "case when f.done < f.ordered then 'partial_fill' else 'fill' end",
            "status": "case when f.done < f.ordered then 'partially_filled' else 'filled' end",
            "qty": "f.ordered",
            "filled_qty": "f.done",
            "avg_fill_price": "round(f.paid / f.done, 8)",
            "raw_event": """jsonb_build_object(
                    'channel', 'trade_updates', 'seq', f.n, '_seq', f.n,
                    'payload', jsonb_build_object(
                        'event', case when f.done < f.ordered then 'partial_fill' else 'fill' end,
                        'timestamp', pg_temp.load_moment(f.ts), 'price', trim_scale(f.price)::text,
                        'qty', trim_scale(f.qty)::text, 'execution_id', f.id::text
                    ),
                    'cost_amount', trim_scale(f.fee)::text, 'decided_at', pg_temp.load_moment(f.decided_at),
                    'submitted_at', pg_temp.load_moment(f.submitted_at),
                    'arrival_price', trim_scale(f.arrival_price)::text
                )""",
            "execution_id": "f.order_uuid",
            "trade_decision_id": "f.decision_uuid",
            "alpaca_account_label": "f.account",
            "filled_qty_delta": "f.qty",
            "filled_notional_delta": "round(f.qty * f.price, 8)",
            "fill_quantity_basis": "'delta'",
        }
        return _statement(fill_sql.INSERT_EVENTS, values, self._events, "nothing")


def _statement(template: str, values: dict[str, str], present: set[str], on_conflict: str) -> bytes:
    """Fill a template with the columns that the source's schema has at its present version."""
    used = {column: value for column, value in values.items() if column in present}
    return _fill_in(template, columns=", ".join(used), values=", ".join(used.values()), on_conflict=on_conflict)


def _fill_in(template: str, **parts: str) -> bytes:
    """Replace `{name}` in a statement; other braces are JSON's."""
    for name, part in parts.items():
        template = template.replace("{" + name + "}", part)
    return template.encode()


def _columns_of(connection: psycopg.Connection, table: str) -> set[str]:
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (table,),
    )
    return {row[0] for row in rows}
