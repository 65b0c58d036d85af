"""Mirror room: copies the rows of a range of a table with COPY, in a snapshot of the source.

The text of COPY goes to ClickHouse as it is; Postgres itself writes the few types that differ in ClickHouse's form.
Only tables with arrays or bytea take the way through Python, value by value.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from orchestration.mirror.catalog import Table
from orchestration.mirror.control import Control, LossyValue
from orchestration.mirror.keyless import ROW, ROW_MAPPING
from orchestration.mirror.layout import Layout, LayoutColumn, key_text
from orchestration.mirror.numbers import WIDE, Numbers
from orchestration.mirror.protocol import NULL
from orchestration.mirror.ranges import Range
from orchestration.mirror.schema import WantedColumn
from orchestration.mirror.target import Target

logger = logging.getLogger(__name__)

# One insert: big enough that parts are few, small enough that several of them and their parsing stay under 100 MB.
_INSERT_BYTES = 16 * 1024 * 1024
_UNESCAPED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


@dataclass(frozen=True)
class RangeCopier:
    """Copies ranges of one table into the copy `name` at `version`.

    May be used from several threads, each with a session of its own. `moment` stands in `_commit_ts`: when the snapshot
    was taken, as ClickHouse reads it; no change that was committed later is in it. `check` is called between inserts
    and may raise to give up. `widen` gets the columns that must be able to hold NULL.
    """

    table: Table
    name: str
    wanted: list[WantedColumn]
    version: int
    moment: str
    target: Target
    control: Control
    numbers: Numbers
    check: Callable[[], None]
    widen: Callable[[set[str]], None]

    def copy(self, session: psycopg.Connection, blocks: Range) -> int:
        """Copy all rows of a range; return how many bytes of text that were."""
        self._keep_unfit(session, blocks)
        first = self.numbers.take(WIDE)
        simple = all(column.mapping.copied is not None for column in self.wanted)
        size = 0
        lines: list[bytes] = []
        waiting = 0
        for line in self._copied(session, blocks, first) if simple else self._converted(session, blocks, first):
            lines.append(line)
            waiting += len(line)
            if waiting >= _INSERT_BYTES:
                self._insert(lines)
                size += waiting
                lines, waiting = [], 0
        self._insert(lines)
        return size + waiting

    def _insert(self, lines: list[bytes]) -> None:
        self.check()
        if lines:
            self.target.insert_lines(self.name, [column.name for column in self.wanted], b"".join(lines))

    def _copied(self, session: psycopg.Connection, blocks: Range, first: int) -> Iterator[bytes]:
        """Give the lines as Postgres prints them, with the mirror's own columns: `META`, numbered from `first`."""
        columns = [_over(c.mapping.copied or "{column}", c.name) for c in self.wanted]
        number = sql.SQL("{} + row_number() over ()").format(sql.Literal(first - 1))
        meta = (self.version, 0, self.moment, "snapshot")
        return self._rows(session, blocks, [*columns, *(sql.Literal(value) for value in meta), number])

    def _converted(self, session: psycopg.Connection, blocks: Range, first: int) -> Iterator[bytes]:
        names = [column.name for column in self.wanted]
        columns = tuple(LayoutColumn(column.name, column.mapping, False) for column in self.wanted)
        places = tuple(names.index(column) for column in self.table.key)
        layout = Layout(self.table.target, (self.table.schema, self.table.name), columns, places, ())
        lost: list[tuple[int, bytes]] = []
        found: list[LossyValue] = []
        between = f"\t{self.version}\t0\t{self.moment}\tsnapshot\t".encode()
        for number, line in enumerate(self._rows(session, blocks, [_plain(name) for name in names]), first):
            values = [_unescape(field) for field in line[:-1].split(b"\t")]
            rendered = layout.render(values, lambda index, original: lost.append((index, original)))
            yield b"%b%b%d\n" % (rendered, between, number)
            key = key_text(layout, values)
            for index, original in lost:
                text = original.decode("utf-8", errors="replace")
                found.append(LossyValue(self.table.target, names[index], key, self.version, text))
            lost.clear()
        self.control.write_lossy(found)

    def _rows(self, session: psycopg.Connection, blocks: Range, columns: list[sql.Composable]) -> Iterator[bytes]:
        """Give the rows as COPY prints them, a line each."""
        query = sql.SQL("copy (select {columns} from {rows}) to stdout").format(
            columns=sql.SQL(", ").join(columns), rows=self._from(blocks)
        )
        with session.cursor().copy(query) as copy:
            while data := copy.read():
                yield bytes(data)

    def _keep_unfit(self, session: psycopg.Connection, blocks: Range) -> None:
        """Keep the originals of values that ClickHouse cannot hold, and let their columns be NULL."""
        columns = [(column.name, column.mapping.unfit) for column in self.wanted if column.mapping.unfit is not None]
        if not columns:
            return
        key = sql.SQL(" || E'\\t' || ").join(sql.SQL("({})::text").format(_plain(k)) for k in self.table.key)
        tests = [_over(unfit, name) for name, unfit in columns]
        originals = [
            sql.SQL("case when {} then {}::text end").format(test, sql.Identifier(name))
            for test, (name, _) in zip(tests, columns, strict=True)
        ]
        query = sql.SQL("select {key}, {originals} from {rows} and ({tests})").format(
            key=key,
            originals=sql.SQL(", ").join(originals),
            rows=self._from(blocks),
            tests=sql.SQL(" or ").join(tests),
        )
        found = [
            LossyValue(self.table.target, name, row[0], self.version, original)
            for row in session.execute(query)
            for (name, _), original in zip(columns, row[1:], strict=True)
            if original is not None
        ]
        if found:
            self.widen({value.column for value in found})
            self.control.write_lossy(found)
            logger.warning("table %s: %d values fit no ClickHouse type", self.table.target, len(found))

    def _from(self, blocks: Range) -> sql.Composable:
        row_filter = sql.SQL(f" and ({self.table.row_filter})" if self.table.row_filter else "")
        return sql.SQL("{} where {}{}").format(
            sql.Identifier(self.table.schema, self.table.name), blocks.condition, row_filter
        )


def _plain(column: str) -> sql.Composable:
    """The value of a column as it is; of `_row`, which is none, what it stands for."""
    return _over(ROW_MAPPING.copied or "", ROW) if column == ROW else sql.Identifier(column)


def _over(template: str, column: str) -> sql.Composable:
    return sql.SQL(template).format(column=sql.Identifier(column))


def _unescape(field: bytes) -> bytes:
    """Return the value of a field of COPY's text format."""
    if field == b"\\N":
        return NULL
    if b"\\" not in field:
        return field
    first, *rest = field.split(b"\\")
    value, pieces = bytearray(first), iter(rest)
    for piece in pieces:
        if piece:
            value += _UNESCAPED.get(piece[:1], piece[:1]) + piece[1:]
        else:
            # An escaped backslash: split left an empty piece, and what follows is plain text.
            value += b"\\" + next(pieces, b"")
    return bytes(value)
