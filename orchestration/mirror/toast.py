"""Mirror room: values that an update left out because they are stored out of line and did not change.

They are taken from recently seen rows in memory, else from the newest earlier version in the history, else from the
source (a row that was never copied, because its table is still being copied).

The key of a row is no proof that it is the same row: keys change, and are used again. So a row of the source tells
something only while it is what the change made of it. And a copy that a table got while the stream was behind has rows
as they were after the change, maybe other ones under the same key: it tells nothing of a change that it may hold.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from orchestration.mirror.layout import Layout
from orchestration.mirror.protocol import NULL, Values
from orchestration.mirror.target import HISTORY, Target, quote, table_name
from orchestration.mirror.types import escape

# Postgres moves values out of line when a row exceeds about 2 KB. Smaller rows are not worth remembering; should one
# be out of line all the same (toast_tuple_target), the history has it.
_WORTH_BYTES = 1_500
_CACHE_BYTES = 64 * 1024 * 1024

# Rows of one look-up, and bytes of their keys as literals: each stands in the query twice, and escapes may double it.
_PORTION_ROWS = 500
_PORTION_BYTES = 128 * 1024
_LITERAL_BYTES = 100

RowKey = tuple[int, tuple[bytes, ...]]


@dataclass(frozen=True)
class Lookup:
    """Where the history has what a row's updates left out: in the newest version of `key` below `before`.

    `committed` is when the change at `before` was committed, in Unix microseconds. Versions below `since` do not count:
    what happened to the table between them and that one was not sent.
    """

    key: tuple[bytes, ...]
    before: int
    committed: int
    since: int


class Known(NamedTuple):
    """What is known of a row: its values, and where those are that are `UNCHANGED` in it."""

    values: Sequence[bytes]
    lookup: Lookup | None = None


class RowCache:
    """What is known of recently changed big rows, by relation and key; forgets the oldest first.

    Rows with left-out values are remembered whatever their size: they wait to be completed, so the history does not
    have them yet when the next update of the row is read.
    """

    def __init__(self, limit: int = _CACHE_BYTES) -> None:
        self._limit = limit
        self._rows: OrderedDict[RowKey, Known] = OrderedDict()
        self._size = 0

    def put(self, row: RowKey, known: Known, size: int) -> None:
        """Remember a row if it is big or incomplete; else forget what was known of it. `size` is in bytes."""
        if size >= _WORTH_BYTES or known.lookup is not None:
            self.forget(row)
            self._rows[row] = known._replace(values=tuple(known.values))
            self._size += weight(known.values)
            while self._size > self._limit:
                self._size -= weight(self._rows.popitem(last=False)[1].values)
        elif self._rows:
            self.forget(row)

    def get(self, row: RowKey) -> Known | None:
        """Return what is known of a row."""
        return self._rows.get(row)

    def forget(self, row: RowKey) -> None:
        """Forget one row."""
        known = self._rows.pop(row, None)
        if known is not None:
            self._size -= weight(known.values)

    def forget_relation(self, oid: int) -> None:
        """Forget all rows of a relation."""
        for row in [row for row in self._rows if row[0] == oid]:
            self.forget(row)


@dataclass
class PendingRow:
    """A row that waits for the values that its update left out, those of the columns `missing`."""

    layout: Layout
    lookup: Lookup
    version: int
    missing: tuple[int, ...]
    values: Values
    suffix: bytes


def portions(rows: Sequence[PendingRow]) -> Iterator[list[PendingRow]]:
    """Cut rows so that `look_up` can take them: its query must stay below 256 KB, the server's limit, and what it reads
    below the size of a batch.
    """
    portion: list[PendingRow] = []
    size = 0
    for row in rows:
        portion.append(row)
        size += _LITERAL_BYTES + 4 * sum(map(len, row.lookup.key))
        if len(portion) == _PORTION_ROWS or size >= _PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def look_up(target: Target, rows: Sequence[PendingRow]) -> dict[int, dict[int, bytes]]:
    """Find the left-out values of rows of one layout in the warehouse: in the history, and in the current table, which
    also has a row whose last version was too old for the history.

    Returns:
        position in `rows` -> column index -> TabSeparated field; rows of which neither tells anything, or the last is a
        tombstone, are absent.
    """
    layout = rows[0].layout
    missing = sorted({index for row in rows for index in row.missing})
    names = [quote(layout.names[index]) for index in missing]
    keys = [quote(layout.names[index]) for index in layout.key]
    types = target.columns(layout.target)
    structure = ["n UInt32", "since UInt64", "before UInt64", "committed Int64"]
    structure += [f"k{place} {types[layout.names[index]]}" for place, index in enumerate(layout.key)]
    wanted, places = [], []
    for number, row in enumerate(rows):
        found = row.lookup
        literals = ", ".join(_literal(value) for value in layout.key_fields(found.key))
        wanted.append(f"({number}, {found.since}, {found.before}, {found.committed}, {literals})")
        places.append(f"({literals})")
    join = " AND ".join(f"h.{key} = p.k{place}" for place, key in enumerate(keys))
    columns = ", ".join([*keys, *names, "_version", "_deleted", "_commit_ts"])
    where = f"WHERE ({', '.join(keys)}) IN ({', '.join(places)})"
    current, history = table_name(layout.target), table_name(layout.target + HISTORY)
    query = (
        f"SELECT p.n, h._deleted, {', '.join(f'h.{name}' for name in names)} "
        f"FROM (SELECT {columns}, _op = 'snapshot' AS may_be_of_copy FROM {history} {where} "
        f"UNION ALL SELECT {columns}, true AS may_be_of_copy FROM {current} {where}) AS h "
        f"INNER JOIN values({_literal(', '.join(structure).encode())}, {', '.join(wanted)}) AS p ON {join} "
        "WHERE h._version >= p.since AND h._version < p.before "
        # A copy's `_commit_ts` is when its snapshot was taken: no change that was committed later is in it.
        "AND (NOT h.may_be_of_copy OR toUnixTimestamp64Micro(h._commit_ts) <= p.committed) "
        "ORDER BY h._version DESC LIMIT 1 BY p.n"
    )
    lines = target.client.raw_query(query, fmt="TabSeparated").split(b"\n")[:-1]
    versions = {}
    for line in lines:
        position, deleted, *fields = line.split(b"\t")
        if deleted == b"0":
            versions[int(position)] = dict(zip(missing, fields, strict=True))
    return versions


def fetch_from_source(connection: psycopg.Connection, row: PendingRow) -> dict[int, bytes] | None:
    """Return the left-out values as the source has them now, as Postgres text.

    None when the source has the row in another form or not at all: then a later change will come in the stream, and
    nothing that is known now would be true of this one.
    """
    layout = row.layout
    # All columns, not those of the layout: some of these may be gone from the source since.
    query = sql.SQL("select * from {table} where {condition}").format(
        table=sql.Identifier(*layout.source),
        condition=sql.SQL(" and ").join(
            sql.SQL("{} = {}").format(
                sql.Identifier(layout.names[index]), sql.Literal(value.decode("utf-8", errors="surrogateescape"))
            )
            for index, value in zip(layout.key, layout.key_of(row.values), strict=True)
        ),
    )
    now = _first_row(connection.execute(query))
    same = all(
        now.get(name, value) == value
        for index, (name, value) in enumerate(zip(layout.names, row.values, strict=True))
        if index not in row.missing
    )
    if not same or any(layout.names[index] not in now for index in row.missing):
        return None
    return {index: now[layout.names[index]] for index in row.missing}


def _first_row(cursor: psycopg.Cursor[Any]) -> dict[str, bytes]:
    """Return the values of the first row by column, in the form in which the stream sends them; empty without a row."""
    result, columns = cursor.pgresult, cursor.description
    if result is None or columns is None or not result.ntuples:
        return {}
    values = [result.get_value(0, place) for place in range(len(columns))]
    return {column.name: NULL if value is None else value for column, value in zip(columns, values, strict=True)}


def _literal(value: bytes) -> str:
    return "'" + escape(value).replace(b"'", b"\\'").decode("utf-8", errors="surrogateescape") + "'"


def weight(values: Sequence[bytes]) -> int:
    """Return about how much memory the values of a row take, in bytes."""
    return sum(map(len, values)) + 64 * len(values)
