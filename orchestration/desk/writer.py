"""Writing rows to the source: COPY for history, one statement per change while live, only into columns that exist."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple

import psycopg
from psycopg import sql

from orchestration.desk import rows
from orchestration.desk.engine import Change
from orchestration.desk.rows import COLUMNS, Row
from orchestration.errors import UserError

# Parents before children.
_REQUIRED = ("strategies", "trade_decisions", "executions", "position_snapshots", "llm_decision_reviews")
TABLES = (
    "strategies",
    "trade_decisions",
    "llm_decision_reviews",
    "executions",
    "execution_order_events",
    "execution_tca_metrics",
    "position_snapshots",
)


class Statement(NamedTuple):
    """One row for a table: `mode` insert, or update of the given columns by primary key."""

    table: str
    mode: str
    row: Row


# What an update may change; everything else of a row is written once.
_UPDATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("trade_decisions", "rewrite"): ("decision_json", "status", "executed_at"),
    ("trade_decisions", "status"): ("status", "executed_at"),
    ("executions", "update"): (
        "filled_qty", "avg_fill_price", "status", "raw_order", "updated_at", "last_update_at",
        "order_feed_last_event_ts", "order_feed_last_seq",
    ),
    ("execution_tca_metrics", "update"): (
        "arrival_price", "avg_fill_price", "filled_qty", "signed_qty", "slippage_bps", "shortfall_notional",
        "computed_at", "updated_at", "realized_shortfall_bps", "divergence_bps",
    ),
}  # fmt: skip
# Statements of one transaction run grouped by kind, in this order: parents before children, inserts before updates.
_ORDER = (
    ("trade_decisions", "insert"),
    ("trade_decisions", "rewrite"),
    ("llm_decision_reviews", "insert"),
    ("executions", "insert"),
    ("trade_decisions", "status"),
    ("executions", "update"),
    ("execution_order_events", "insert"),
    ("execution_tca_metrics", "insert"),
    ("execution_tca_metrics", "update"),
    ("position_snapshots", "insert"),
)


class Writer:
    """Writes to the schema version that it finds.

    Raises:
        UserError: the source has no Torghut schema.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        found = connection.execute(
            "select table_name, column_name from information_schema.columns where table_schema = 'public'"
        ).fetchall()
        self.columns = {
            table: [name for name in COLUMNS[table] if (table, name) in set(found)]
            for table in TABLES
            if any(table == name for name, _ in found)
        }
        missing = [table for table in _REQUIRED if table not in self.columns]
        if missing:
            raise UserError(
                f"The source has no table {missing[0]}.", "Create the schema with `jangar-quant source migrate`."
            )
        self._pick = {table: _picker(COLUMNS[table], names) for table, names in self.columns.items()}
        self._sql = {key: text for key in _ORDER if (text := self._statement(*key)) is not None}

    def has(self, table: str) -> bool:
        """Whether the schema has the table."""
        return table in self.columns

    def copy(self, table: str, new_rows: Iterable[Row]) -> None:
        """Append rows by COPY, inside the caller's transaction. A table that the schema lacks is skipped."""
        if not self.has(table):
            return
        pick, _ = self._pick[table]
        names = sql.SQL(", ").join(map(sql.Identifier, self.columns[table]))
        with (
            self._connection.cursor() as cursor,
            cursor.copy(sql.SQL("copy {} ({}) from stdin").format(sql.Identifier(table), names)) as copy,
        ):
            for row in new_rows:
                copy.write_row(pick(row))

    def upsert_strategies(self, strategies: Sequence[Row]) -> None:
        """Insert the desk's strategies."""
        pick, names = self._pick["strategies"]
        statement = sql.SQL("insert into strategies ({}) values ({}) on conflict (id) do nothing").format(
            sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join([sql.Placeholder()] * len(names))
        )
        with self._connection.cursor() as cursor:
            cursor.executemany(statement, [pick(row) for row in strategies])

    def write(self, statements: Iterable[Statement]) -> None:
        """Run statements inside the caller's transaction, grouped by kind and pipelined."""
        groups: dict[tuple[str, str], list[Row]] = {}
        for table, mode, row in statements:
            groups.setdefault((table, mode), []).append(row)
        with self._connection.cursor() as cursor:
            for key in _ORDER:
                if key in groups and key in self._sql:
                    text, pick = self._sql[key]
                    if len(groups[key]) == 1:
                        cursor.execute(text, pick(groups[key][0]))
                    else:
                        cursor.executemany(text, [pick(row) for row in groups[key]])

    def _statement(self, table: str, mode: str) -> "tuple[sql.Composed, itemgetter[Row]] | None":
        if not self.has(table):
            return None
        if mode == "insert":
            pick, names = self._pick[table]
            text = sql.SQL("insert into {} ({}) values ({}) on conflict (id) do nothing").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.SQL(", ").join([sql.Placeholder()] * len(names)),
            )
            return text, pick
        names = [name for name in _UPDATES[table, mode] if name in self.columns[table]]
        pick, _ = _picker(COLUMNS[table], [*names, "id"])
        text = sql.SQL("update {} set {} where id = {}").format(
            sql.Identifier(table),
            sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder()) for name in names),
            sql.Placeholder(),
        )
        return text, pick


def statements(change: Change) -> list[Statement]:
    """Return what Torghut writes when `change` happens."""
    ticket = change.ticket
    if change.snapshot is not None:
        return [Statement("position_snapshots", "insert", rows.snapshot_row(change.snapshot))]
    assert ticket is not None
    if change.kind == "planned":
        return [Statement("trade_decisions", "insert", rows.decision_row(ticket, sized=False))]
    if change.kind in ("sized", "refused"):
        return [Statement("trade_decisions", "rewrite", rows.decision_row(ticket))]
    if change.kind == "reviewed":
        return [Statement("llm_decision_reviews", "insert", rows.review_row(ticket))]
    if change.kind == "submitted":
        return [
            Statement("executions", "insert", rows.execution_row(ticket)),
            Statement("trade_decisions", "rewrite", rows.decision_row(ticket)),
            Statement("execution_tca_metrics", "insert", rows.tca_row(ticket)),
        ]
    return event_statements(change)


def event_statements(change: Change) -> list[Statement]:
    """Return what a broker event writes; an event that ends the order also sets the decision's status."""
    ticket = change.ticket
    assert ticket is not None
    assert ticket.order is not None
    found = [
        Statement("executions", "update", rows.execution_row(ticket)),
        Statement("execution_order_events", "insert", rows.event_row(change)),
    ]
    if change.event is not None and change.event.qty is not None:
        found.append(Statement("execution_tca_metrics", "update", rows.tca_row(ticket)))
    if ticket.order.final:
        found.append(Statement("trade_decisions", "status", rows.decision_status_row(ticket)))
    return found


def _picker(columns: Sequence[str], names: list[str]) -> "tuple[itemgetter[Row], list[str]]":
    return itemgetter(*(columns.index(name) for name in names)), names
