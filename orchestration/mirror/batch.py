"""Mirror room: one batch - the changes of whole transactions on their way into the warehouse, per table."""

from dataclasses import dataclass, field

from orchestration.mirror.catalog import insert_rank
from orchestration.mirror.control import LossyValue
from orchestration.mirror.layout import Layout
from orchestration.mirror.toast import PendingRow


@dataclass
class TableRows:
    """Rendered lines for one layout, and rows that still wait for left-out values."""

    layout: Layout
    lines: list[bytes] = field(default_factory=list)
    pending: list[PendingRow] = field(default_factory=list)


class Batch:
    """Rows that were received but not handed over for insertion; `size` is in bytes."""

    def __init__(self) -> None:
        self._tables: dict[int, TableRows] = {}
        self.lossy: list[LossyValue] = []
        self.size = 0

    def rows_of(self, oid: int, layout: Layout) -> TableRows:
        """Return the rows of a relation; made when there are none."""
        rows = self._tables.get(oid)
        if rows is None:
            rows = self._tables[oid] = TableRows(layout)
        return rows

    def __bool__(self) -> bool:
        return bool(self._tables)

    def in_insert_order(self) -> list[TableRows]:
        """Return the tables' rows, parents before children."""
        return sorted(self._tables.values(), key=lambda rows: (insert_rank(rows.layout.target), rows.layout.target))
