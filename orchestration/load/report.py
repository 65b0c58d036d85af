"""Load room: what a load did - the table on the screen and the file of refused rows."""

import csv
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestration.errors import UserError

_SHOWN = 10


@dataclass(frozen=True)
class Reject:
    """A row that was not loaded: its file, its line in it, and why."""

    file: str
    line: int
    reason: str


class Rejects:
    """The refused rows: counted, kept up to the limit of the load, written to a file when asked."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.found: list[Reject] = []

    def add(self, file: str, line: int, reason: str) -> bool:
        """Note a refused row; return whether there are now more than the limit allows."""
        self.found.append(Reject(file, line, reason))
        return self.exceeded

    @property
    def exceeded(self) -> bool:
        """Whether more rows were refused than the caller allows."""
        return len(self.found) > self.limit

    def write(self, path: Path) -> None:
        """Write all of them to a CSV file with the columns file, line, reason.

        Raises:
            UserError: the file cannot be written.
        """
        try:
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("file", "line", "reason"))
                writer.writerows((reject.file, reject.line, reject.reason) for reject in self.found)
        except OSError as error:
            raise UserError(f"{path} cannot be written: {error.strerror}.", "Give another path to --rejects.") from None

    def show(self, console: Console) -> None:
        """Print the first ones."""
        for reject in self.found[:_SHOWN]:
            console.print(f"[yellow]refused[/] {escape(reject.file)} line {reject.line}: {escape(reject.reason)}")
        more = len(self.found) - _SHOWN
        if more > 0:
            console.print(f"[yellow]refused[/] ... and {more:,} more; --rejects FILE keeps them all")


@dataclass
class FillReport:
    """Counts of the fills of one load; `notional` is in the currency of the prices, over all rows that were read."""

    accepted: int = 0
    new: int = 0
    already_there: int = 0
    repeated: int = 0
    rounded: int = 0
    symbols: int = 0
    notional: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    first: datetime | None = None
    last: datetime | None = None
    strategies: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class SnapshotReport:
    """Counts of the snapshots of one load; `difference` is the largest gap between equity and positions plus cash."""

    accepted: int = 0
    new: int = 0
    changed: int = 0
    already_there: int = 0
    rounded: int = 0
    positions_without_equity: int = 0
    difference: Decimal | None = None
    first: datetime | None = None
    last: datetime | None = None


@dataclass
class LoadReport:
    """What one load did, or with `dry_run` would do."""

    dry_run: bool
    seconds: float
    refused: int
    fills: FillReport | None = None
    snapshots: SnapshotReport | None = None

    def show(self, console: Console) -> None:
        """Print one table per kind of row."""
        new = "would be new" if self.dry_run else "new"
        if self.fills is not None:
            fills = self.fills
            _table(
                console,
                "Fills",
                {
                    "accepted": f"{fills.accepted:,}",
                    f"  {new}": f"{fills.new:,}",
                    "  already there": f"{fills.already_there:,}",
                    "repeated in the file": f"{fills.repeated:,}",
                    "rounded to 8 decimals": f"{fills.rounded:,}",
                    "from": _moment(fills.first),
                    "to": _moment(fills.last),
                    "symbols": f"{fills.symbols:,}",
                    "traded notional": f"{fills.notional:,.2f}",
                    "fees": f"{fills.fees:,.2f}",
                },
            )
        if self.snapshots is not None:
            snapshots = self.snapshots
            rows = {
                "accepted": f"{snapshots.accepted:,}",
                f"  {new}": f"{snapshots.new:,}",
                "  changed": f"{snapshots.changed:,}",
                "  already there": f"{snapshots.already_there:,}",
                "rounded to 8 decimals": f"{snapshots.rounded:,}",
                "from": _moment(snapshots.first),
                "to": _moment(snapshots.last),
            }
            if snapshots.positions_without_equity:
                rows["positions at times without equity"] = f"{snapshots.positions_without_equity:,}"
            if snapshots.difference is not None:
                rows["largest gap to positions + cash"] = f"{snapshots.difference:,.2f}"
            _table(console, "Equity", rows)
        rate = f", {self.fills.accepted / self.seconds:,.0f} fills per second" if self.fills and self.seconds else ""
        console.print(f"{self.refused:,} rows refused. {self.seconds:.1f} s{rate}.")


def _table(console: Console, title: str, rows: dict[str, str]) -> None:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for label, value in rows.items():
        table.add_row(label, value)
    console.print(table)


def _moment(stamp: datetime | None) -> str:
    return "-" if stamp is None else f"{stamp:%Y-%m-%d %H:%M:%S} UTC"
