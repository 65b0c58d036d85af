"""Mirror room: copies the rows of a whole table with COPY, in a snapshot of the source.

The text of COPY goes to ClickHouse as it is; Postgres itself writes the few types that differ in ClickHouse's form.
Only tables with arrays or bytea take the way through Python, row by row.
"""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
from psycopg import sql

from orchestration.mirror.applier import no_identity
from orchestration.mirror.catalog import Table, TypeResolver
from orchestration.mirror.control import Control, LossyValue
from orchestration.mirror.layout import Layout, LayoutColumn, key_text
from orchestration.mirror.protocol import NULL
from orchestration.mirror.schema import WantedColumn, apply, make_nullable, reconcile, wanted_from_table
from orchestration.mirror.target import Target, is_nullable, quote

logger = logging.getLogger(__name__)

# One insert: big enough that parts are few, small enough that two of them and their parsing stay under 100 MB.
_INSERT_BYTES = 16 * 1024 * 1024
_UNESCAPED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class TableCopier:
    """Copies tables through one session that is inside a read-only, repeatable-read transaction.

    `check` is called between inserts and may raise to give up.
    """

    def __init__(
        self, session: psycopg.Connection, target: Target, control: Control, check: Callable[[], None]
    ) -> None:
        self._session = session
        self._target = target
        self._control = control
        self._check = check
        self._resolver = TypeResolver(session)

    def copy(self, table: Table, version: int, applied: int, moment: str) -> int:
        """Copy all rows at `version` under batch `applied`; return how many bytes of text that were.

        `moment` stands in `_commit_ts`: when the snapshot was taken, as ClickHouse reads it.

        Raises:
            UserError: the table has no usable identity.
        """
        if not table.key:
            raise no_identity(table.schema, table.name)
        wanted = wanted_from_table(table, self._resolver)
        outcome = reconcile(self._target, table.target, wanted, table.key)
        self._keep_unfit(table, wanted, outcome.types, version)
        names = [column.name for column in wanted]
        suffix = f"\t{version}\t0\t{moment}\t{applied}\tsnapshot\n".encode()
        simple = all(column.mapping.copied is not None for column in wanted)
        size = 0
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="mirror-copy") as executor:
            inserting: Future[None] | None = None
            pieces = self._copied(table, wanted, suffix) if simple else self._converted(table, wanted, suffix, version)
            for piece in pieces:
                self._check()
                size += len(piece)
                if inserting is not None:
                    inserting.result()
                # COPY of the next piece goes on while ClickHouse takes this one.
                inserting = executor.submit(self._target.insert_lines, table.target, names, piece)
            if inserting is not None:
                inserting.result()
        return size

    def _copied(self, table: Table, wanted: list[WantedColumn], suffix: bytes) -> Iterator[bytes]:
        expressions = [_expression(column) for column in wanted]
        # The constants behind each row are appended here: cheaper than to let Postgres print them.
        lines: list[bytes] = []
        size = 0
        for line in self._rows(table, expressions):
            lines.append(line[:-1])
            size += len(line)
            if size >= _INSERT_BYTES:
                yield suffix.join(lines) + suffix
                lines, size = [], 0
        if lines:
            yield suffix.join(lines) + suffix

    def _converted(self, table: Table, wanted: list[WantedColumn], suffix: bytes, version: int) -> Iterator[bytes]:
        names = [column.name for column in wanted]
        columns = tuple(LayoutColumn(column.name, column.mapping, column.name in table.key) for column in wanted)
        layout = Layout(
            table.target,
            (table.schema, table.name),
            columns,
            tuple(names.index(column) for column in table.key),
            (),
        )
        lost: list[tuple[int, bytes]] = []
        found: list[LossyValue] = []
        lines: list[bytes] = []
        size = 0
        for line in self._rows(table, [sql.Identifier(name) for name in names]):
            values = [_unescape(field) for field in line[:-1].split(b"\t")]
            lines.append(layout.render(values, lambda index, original: lost.append((index, original))))
            key = key_text(layout, values)
            for index, original in lost:
                text = original.decode("utf-8", errors="replace")
                found.append(LossyValue(table.target, names[index], key, version, text))
            lost.clear()
            size += len(line)
            if size >= _INSERT_BYTES:
                yield suffix.join(lines) + suffix
                lines, size = [], 0
        if lines:
            yield suffix.join(lines) + suffix
        self._control.write_lossy(found)

    def _rows(self, table: Table, expressions: list[sql.Composable]) -> Iterator[bytes]:
        where = sql.SQL(f" where {table.row_filter}" if table.row_filter else "")
        query = sql.SQL("copy (select {columns} from {table}{where}) to stdout").format(
            columns=sql.SQL(", ").join(expressions), table=sql.Identifier(table.schema, table.name), where=where
        )
        with self._session.cursor().copy(query) as copy:
            while data := copy.read():
                yield bytes(data)

    def _keep_unfit(self, table: Table, wanted: list[WantedColumn], types: dict[str, str], version: int) -> None:
        """Keep the originals of values that ClickHouse cannot hold, and let their columns be NULL."""
        for column in wanted:
            if column.mapping.unfit is None:
                continue
            query = sql.SQL("select {key}, {column}::text from {table} where {unfit}").format(
                key=sql.SQL(" || E'\\t' || ").join(sql.SQL("{}::text").format(sql.Identifier(k)) for k in table.key),
                column=sql.Identifier(column.name),
                table=sql.Identifier(table.schema, table.name),
                unfit=_over(column.mapping.unfit, column.name),
            )
            rows = self._session.execute(query).fetchall()
            if not rows:
                continue
            self._control.write_lossy(LossyValue(table.target, column.name, row[0], version, row[1]) for row in rows)
            logger.warning("table %s: %d values of %s fit no ClickHouse type", table.target, len(rows), column.name)
            kind = types[column.name]
            if not is_nullable(kind):
                apply(self._target, table.target, [f"MODIFY COLUMN {quote(column.name)} {make_nullable(kind)}"])


def _expression(column: WantedColumn) -> sql.Composable:
    return _over(column.mapping.copied or "{column}", column.name)


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
