"""Load room: one load from open files to the report - read and check everything, then write."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import psycopg
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from orchestration.errors import UserError
from orchestration.load.equity import EQUITY_COLUMNS, POSITION_COLUMNS, EquityReader, PositionReader
from orchestration.load.fills import FILL_COLUMNS, FillDefaults, FillReader
from orchestration.load.report import FillReport, LoadReport, Rejects, SnapshotReport
from orchestration.load.staging import copy_rows, prepare
from orchestration.load.tables import Table, open_table
from orchestration.load.values import Refused, TimeRules
from orchestration.load.write_fills import FillWriter
from orchestration.load.write_snapshots import SnapshotWriter

# Rows between two writes to the server: enough to make the call cheap, little enough to keep memory flat.
_CHUNK_ROWS = 2_000
_Row = tuple[str | None, ...]


@dataclass(frozen=True)
class LoadRequest:
    """What to load and how to read it; at least one file is given."""

    times: TimeRules
    fills: Path | None = None
    equity: Path | None = None
    positions: Path | None = None
    overrides: dict[str, str] = field(default_factory=dict)
    defaults: FillDefaults = field(default_factory=FillDefaults)
    initial_capital: Decimal | None = None
    asset_class: str = "us_equity"
    dry_run: bool = False


class _Reader(Protocol):
    def __call__(self, line: int, cells: Sequence[str], /) -> Iterable[_Row]: ...


class Loader:
    """Loads the files of one request over one connection to the source."""

    def __init__(self, connection: psycopg.Connection, request: LoadRequest, rejects: Rejects, progress: Progress):
        self._connection = connection
        self._request = request
        self._rejects = rejects
        self._progress = progress
        self._note: Callable[[str], None] = lambda text: progress.console.print(text, style="dim")

    def load(self) -> LoadReport:
        """Read, check and write all files.

        Nothing is written before every file has been read and the refused rows are within the limit.

        Raises:
            UserError: a file cannot be used, too many rows are refused, or no row is left.
        """
        started = time.monotonic()
        prepare(self._connection)
        fills = self._stage_fills()
        snapshots = self._stage_snapshots()
        self._require_few_refusals()
        fill_report, orders, fill_writer = self._check_fills(fills) if fills else (None, 0, None)
        snapshot_report, snapshot_writer = self._check_snapshots(*snapshots) if snapshots else (None, None)
        self._require_few_refusals()
        if not ((fill_report and fill_report.accepted) or (snapshot_report and snapshot_report.accepted)):
            raise UserError("There is no row that can be loaded.", "Give files with at least one usable row.")
        if fill_report and fill_writer:
            self._write_fills(fill_report, fill_writer, orders)
        if snapshot_report and snapshot_writer:
            self._write_snapshots(snapshot_report, snapshot_writer)
        seconds = time.monotonic() - started
        return LoadReport(self._request.dry_run, seconds, len(self._rejects.found), fill_report, snapshot_report)

    def _stage_fills(self) -> FillReader | None:
        path = self._request.fills
        if path is None:
            return None
        with open_table(path) as table:
            reader = FillReader(
                table.header,
                self._request.overrides,
                self._request.defaults,
                self._request.times,
                file=table.name,
                symbol_length=self._symbol_length(),
            )
            self._describe(table.name, reader.columns.describe(), reader.columns.unused())
            self._stage(table, "load_fill", FILL_COLUMNS, lambda line, cells: (reader.read(line, cells),))
        if reader.totals.rows and reader.totals.only_midnights:
            self._note("every fill is stamped midnight UTC; if these are session dates, load them with --daily")
        return reader

    def _stage_snapshots(self) -> tuple[EquityReader | None, PositionReader | None] | None:
        request = self._request
        equity: EquityReader | None = None
        positions: PositionReader | None = None
        account = request.defaults.account
        if request.equity is not None:
            with open_table(request.equity) as table:
                equity = EquityReader(
                    table.header, request.overrides, account, request.initial_capital, request.times, file=table.name
                )
                self._describe(table.name, equity.columns.describe(), equity.columns.unused())
                self._stage(table, "load_equity", EQUITY_COLUMNS, equity.read)
        if request.positions is not None:
            with open_table(request.positions) as table:
                positions = PositionReader(
                    table.header,
                    request.overrides,
                    account,
                    request.asset_class,
                    request.times,
                    file=table.name,
                    symbol_length=self._symbol_length(),
                )
                if equity is None and "cash" not in positions.columns and not positions.long:
                    raise UserError(
                        f"{table.name} has no column of cash, so the equity is unknown.",
                        "Add a column of cash, name it with --map cash=COLUMN, or give --equity.",
                    )
                unused = positions.columns.unused() if positions.long else []
                self._describe(table.name, positions.columns.describe(), unused)
                self._stage(table, "load_positions", POSITION_COLUMNS, positions.read)
        return (equity, positions) if equity or positions else None

    def _stage(self, table: Table, target: str, columns: Sequence[str], read: _Reader) -> None:
        """Copy the usable rows of a file into a staging table; stop early when too many are refused."""
        task = self._progress.add_task(f"reading {table.name}", total=max(table.size, 1))
        statement = f"copy {target} ({', '.join(columns)}) from stdin".encode()
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            chunk: list[_Row] = []
            for line, cells in table.rows:
                try:
                    chunk.extend(read(line, cells))
                except Refused as refusal:
                    if self._rejects.add(table.name, line, str(refusal)):
                        self._note(f"{table.name}: stopped reading at line {line}, too many rows are refused")
                        break
                if len(chunk) >= _CHUNK_ROWS:
                    copy_rows(copy, chunk)
                    chunk.clear()
                    self._progress.update(task, completed=table.position())
            copy_rows(copy, chunk)
        self._progress.update(task, completed=max(table.size, 1))

    def _check_fills(self, reader: FillReader) -> tuple[FillReport, int, FillWriter]:
        writer = FillWriter(self._connection, self._request.asset_class, has_order_ids="order_id" in reader.columns)
        refusals, repeated = writer.check()
        file = self._request.fills.name if self._request.fills else ""
        for refusal in refusals:
            self._rejects.add(file, refusal.line, refusal.reason)
        totals = reader.totals
        accepted = totals.rows - repeated - len(refusals)
        report = FillReport(
            accepted=accepted,
            repeated=repeated,
            rounded=totals.rounded,
            symbols=len(totals.symbols),
            notional=totals.notional,
            fees=totals.fees,
            first=totals.first,
            last=totals.last,
            strategies=sorted(totals.strategies),
        )
        return report, writer.prepare(), writer

    def _check_snapshots(
        self, equity: EquityReader | None, positions: PositionReader | None
    ) -> tuple[SnapshotReport, SnapshotWriter]:
        writer = SnapshotWriter(
            self._connection,
            has_equity=equity is not None,
            positions_are_long=positions is not None and positions.long,
        )
        for path, staged in ((self._request.equity, "load_equity"), (self._request.positions, "load_positions")):
            for refusal in writer.check(staged) if path else []:
                self._rejects.add(path.name if path else "", refusal.line, refusal.reason)
        summary = writer.prepare()
        return (
            SnapshotReport(
                accepted=summary.rows,
                rounded=equity.rounded if equity else 0,
                positions_without_equity=summary.positions_without_equity,
                difference=summary.difference if equity else None,
                first=summary.first,
                last=summary.last,
            ),
            writer,
        )

    def _write_fills(self, report: FillReport, writer: FillWriter, orders: int) -> None:
        if self._request.dry_run:
            report.already_there = writer.count_present()
        else:
            task = self._progress.add_task("writing orders", total=max(orders, 1))
            report.new = writer.write(orders, lambda done: self._progress.update(task, completed=done))
            report.already_there = report.accepted - report.new
        report.new = report.accepted - report.already_there

    def _write_snapshots(self, report: SnapshotReport, writer: SnapshotWriter) -> None:
        if self._request.dry_run:
            report.already_there = writer.count_present()
            report.new = report.accepted - report.already_there
            return
        task = self._progress.add_task("writing equity", total=max(report.accepted, 1))
        report.new, report.changed = writer.write(
            report.accepted, lambda done: self._progress.update(task, completed=done)
        )
        report.already_there = report.accepted - report.new - report.changed

    def _require_few_refusals(self) -> None:
        if self._rejects.exceeded:
            raise UserError(
                f"More than {self._rejects.limit:,} rows were refused, so nothing was loaded.",
                "Correct the file or the mapping (--map), or allow more with --max-errors.",
            )

    def _describe(self, file: str, mapping: str, unused: list[str]) -> None:
        self._note(f"{file}: {mapping}" + (f"; not used: {', '.join(unused)}" if unused else ""))

    def _symbol_length(self) -> int:
        """Return the longest symbol that the schema holds: 16 characters, 64 from version 0035."""
        row = self._connection.execute(
            "select min(atttypmod) - 4 from pg_attribute where attname = 'symbol' and attrelid = any(%s::regclass[])",
            (["trade_decisions", "executions"],),
        ).fetchone()
        return int(row[0]) if row and row[0] else 16


def load_files(
    connection: psycopg.Connection, request: LoadRequest, rejects: Rejects, progress: Progress
) -> LoadReport:
    """Load the files of `request`; see `Loader.load`.

    Raises:
        UserError: also when the source's database refuses what is written.
    """
    with progress:
        try:
            return Loader(connection, request, rejects, progress).load()
        except psycopg.Error as error:
            detail = error.diag.message_primary or str(error).strip()
            raise UserError(
                f"The source refused the load: {detail}.",
                "What was written before stays; the same load goes on from there once the cause is gone.",
            ) from error


def new_progress() -> Progress:
    """Return the progress bars of a load."""
    return Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
