"""Mirror room: the thread that inserts one parcel of rows while the next one is being received and decoded."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from orchestration.mirror.batch import TableRows
from orchestration.mirror.control import Checkpoint, Control, LossyValue
from orchestration.mirror.layout import Layout, key_text
from orchestration.mirror.schema import apply
from orchestration.mirror.target import Target, quote
from orchestration.mirror.toast import PendingRow, fetch_from_source, look_up, portions

# In place of an original value: Postgres did not send it, and nobody knows it any more.
LEFT_OUT = "(unchanged and not known: this version of the row is left out)"


@dataclass(frozen=True)
class Parcel:
    """Rows to insert, parents before children, and the checkpoint to write after them (None inside a transaction)."""

    tables: Sequence[TableRows]
    lossy: Sequence[LossyValue]
    checkpoint: Checkpoint | None


class Inserter:
    """Inserts parcels one after the other; at most one is on its way. After a failure nothing more is inserted."""

    def __init__(self, source: psycopg.Connection, target: Target, control: Control, last: Checkpoint) -> None:
        self.checkpoint = last
        self._source = source
        self._target = target
        self._control = control
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mirror-insert")
        self._running: Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a parcel is on its way."""
        return self._running is not None and not self._running.done()

    def submit(self, parcel: Parcel) -> None:
        """Wait for the parcel before, then begin to insert this one.

        Raises:
            the failure of the parcel before; this one is not inserted then.
        """
        self.drain()
        self._running = self._executor.submit(self._insert, parcel)

    def drain(self) -> None:
        """Wait until everything submitted is inserted and checkpointed.

        Raises:
            the failure of the last parcel.
        """
        if self._running is not None:
            self._running.result()

    def close(self) -> None:
        """End the thread after the parcel at hand."""
        self._executor.shutdown(wait=True)

    def _insert(self, parcel: Parcel) -> None:
        for rows in parcel.tables:
            self._insert_table(rows)
        self._control.write_lossy(parcel.lossy)
        if parcel.checkpoint is not None:
            self._control.write_checkpoint(parcel.checkpoint)
            self.checkpoint = parcel.checkpoint

    def _insert_table(self, rows: TableRows) -> None:
        layout = rows.layout
        self._send(layout, rows.lines)
        for portion in portions(rows.pending):
            self._insert_completed(layout, portion)

    def _insert_completed(self, layout: Layout, waiting: list[PendingRow]) -> None:
        found = look_up(self._target, waiting)
        lines, left_out = [], []
        for number, row in enumerate(waiting):
            line = self._complete(row, found[number]) if number in found else self._complete_from_source(row)
            if line is None:
                # What not even the source has in this form is left out: a later change of the row makes up for it.
                left_out.append(row)
            else:
                lines.append(line)
        self._tell_left_out(left_out)
        self._send(layout, lines)

    def _tell_left_out(self, rows: list[PendingRow]) -> None:
        self._control.write_lossy(
            LossyValue(
                row.layout.target, row.layout.names[index], key_text(row.layout, row.values), row.version, LEFT_OUT
            )
            for row in rows
            for index in row.missing
        )

    def _complete(self, row: PendingRow, fields: dict[int, bytes]) -> bytes:
        lost: list[tuple[int, bytes]] = []
        fields = {index: fields[index] for index in row.missing}
        line = row.layout.render_with(row.values, fields, lambda index, original: lost.append((index, original)))
        return self._finish(row, line, lost)

    def _complete_from_source(self, row: PendingRow) -> bytes | None:
        lost: list[tuple[int, bytes]] = []
        values = fetch_from_source(self._source, row)
        if values is None:
            return None
        for index, value in values.items():
            row.values[index] = value
        line = row.layout.render(row.values, lambda index, original: lost.append((index, original)))
        return self._finish(row, line, lost)

    def _finish(self, row: PendingRow, line: bytes, lost: list[tuple[int, bytes]]) -> bytes:
        key = key_text(row.layout, row.values)
        self._control.write_lossy(
            LossyValue(row.layout.target, row.layout.names[index], key, row.version, original.decode(errors="replace"))
            for index, original in lost
        )
        return b"%b\t%d%b" % (line, row.version, row.suffix)

    def _send(self, layout: Layout, lines: list[bytes]) -> None:
        if layout.surprised:
            self._widen(layout)
        if lines:
            self._target.insert_lines(layout.target, layout.names, b"".join(lines))

    def _widen(self, layout: Layout) -> None:
        """Let columns hold NULL where one arrived although the catalog says NOT NULL."""
        surprised = sorted(layout.surprised.copy())
        actions = []
        for index in surprised:
            column = layout.columns[index]
            actions.append(f"MODIFY COLUMN {quote(column.name)} {column.mapping.column_type(nullable=True)}")
        apply(self._target, layout.target, actions)
        layout.not_null = tuple(index for index in layout.not_null if index not in surprised)
        layout.surprised.difference_update(surprised)
