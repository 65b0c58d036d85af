"""Load room: staged equity and positions become position snapshots of the source."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import psycopg

from orchestration.load.write_fills import Refusal

BATCH_SNAPSHOTS = 20_000

_REPEATED = """
select later.line, first.line as first_line
from {table} as later
join (
    select distinct on (account, as_of) account, as_of, line, ctid as place
    from {table}
    order by account, as_of, ctid
) as first on first.account = later.account and first.as_of = later.as_of and first.place <> later.ctid
order by later.line
"""
_DELETE_REPEATED = """
delete from {table} as later
using {table} as first
where first.account = later.account and first.as_of = later.as_of and first.ctid < later.ctid
"""
_GROUP_POSITIONS = """
create temp table load_held as
select
    account,
    as_of,
    sum(total) as total,
    max(cash) as cash,
    coalesce(
        (
            select jsonb_agg(element order by lines.line, place)
            from load_positions as lines
            cross join lateral jsonb_array_elements(lines.positions) with ordinality as e (element, place)
            where lines.account = grouped.account and lines.as_of = grouped.as_of
        ),
        '[]'::jsonb
    ) as positions
from load_positions as grouped
group by account, as_of
"""
_FROM_EQUITY = """
create temp table load_snapshot as
select
    row_number() over (order by e.as_of, e.account) as n,
    pg_temp.load_uuid('snapshot:' || e.account || ':' || pg_temp.load_moment(e.as_of)) as id,
    e.account,
    e.as_of,
    e.equity,
    coalesce(e.cash, p.cash, e.equity - p.total, e.equity) as cash,
    coalesce(e.buying_power, e.cash, p.cash, e.equity - p.total, e.equity) as buying_power,
    coalesce(p.positions, '[]'::jsonb) as positions,
    abs(e.equity - p.total - p.cash) as difference
from load_equity as e
left join load_held as p on p.account = e.account and p.as_of = e.as_of
"""
_FROM_POSITIONS = """
create temp table load_snapshot as
select
    row_number() over (order by p.as_of, p.account) as n,
    pg_temp.load_uuid('snapshot:' || p.account || ':' || pg_temp.load_moment(p.as_of)) as id,
    p.account,
    p.as_of,
    p.total + p.cash as equity,
    p.cash as cash,
    p.cash as buying_power,
    p.positions,
    0::numeric as difference
from load_held as p
"""
_SUMMARY = """
select
    count(*),
    min(as_of),
    max(as_of),
    max(difference),
    (select count(*) from load_held as p where not exists (select 1 from load_snapshot as s where s.as_of = p.as_of))
from load_snapshot
"""
_INSERT = """
insert into position_snapshots (id, alpaca_account_label, as_of, equity, cash, buying_power, positions)
select id, account, as_of, equity, cash, buying_power, positions
from load_snapshot
where n between %s and %s
order by n
on conflict (id) do update set
    equity = excluded.equity,
    cash = excluded.cash,
    buying_power = excluded.buying_power,
    positions = excluded.positions
where
    (
        position_snapshots.equity, position_snapshots.cash, position_snapshots.buying_power,
        position_snapshots.positions
    ) is distinct from (
        excluded.equity::numeric(20, 8), excluded.cash::numeric(20, 8), excluded.buying_power::numeric(20, 8),
        excluded.positions
    )
returning xmax = 0
"""


@dataclass
class SnapshotSummary:
    """What the staged snapshots are, before they are written; `difference` compares equity with positions and cash."""

    rows: int
    first: datetime | None
    last: datetime | None
    difference: Decimal | None
    positions_without_equity: int


class SnapshotWriter:
    """Writes the staged equity and positions, one snapshot per account and time."""

    def __init__(self, connection: psycopg.Connection, *, has_equity: bool, positions_are_long: bool) -> None:
        self._connection = connection
        self._has_equity = has_equity
        self._positions_are_long = positions_are_long

    def check(self, table: str) -> list[Refusal]:
        """Take out the rows of `load_equity` or `load_positions` that repeat an account and time."""
        if table == "load_positions" and self._positions_are_long:
            return []
        self._connection.execute(f"create index on {table} (account, as_of)".encode())
        found = self._connection.execute(_REPEATED.replace("{table}", table).encode()).fetchall()
        if found:
            self._connection.execute(_DELETE_REPEATED.replace("{table}", table).encode())
        return [Refusal(line, f"line {first_line} already has this account at this time") for line, first_line in found]

    def prepare(self) -> SnapshotSummary:
        """Bring equity and positions together."""
        self._connection.execute("create index on load_positions (account, as_of, line)")
        self._connection.execute(_GROUP_POSITIONS)
        self._connection.execute(_FROM_EQUITY if self._has_equity else _FROM_POSITIONS)
        self._connection.execute("create index on load_snapshot (n)")
        row = self._connection.execute(_SUMMARY).fetchone()
        assert row is not None
        return SnapshotSummary(*row)

    def count_present(self) -> int:
        """Return how many of the staged snapshots the source already has."""
        row = self._connection.execute(
            "select count(*) from load_snapshot join position_snapshots using (id)"
        ).fetchone()
        return int(row[0]) if row else 0

    def write(self, rows: int, on_batch: Callable[[int], None]) -> tuple[int, int]:
        """Write all snapshots in batches, each a transaction; return how many are new and how many have changed."""
        new = changed = 0
        for first in range(1, rows + 1, BATCH_SNAPSHOTS):
            batch = (first, first + BATCH_SNAPSHOTS - 1)
            with self._connection.transaction():
                inserted = [row[0] for row in self._connection.execute(_INSERT, batch)]
            new += sum(inserted)
            changed += len(inserted) - sum(inserted)
            on_batch(min(batch[1], rows))
        return new, changed
