"""Mirror room: cuts a table into ranges of its blocks, which are copied side by side and recorded one by one."""

from dataclasses import dataclass

import psycopg
from psycopg import sql

from orchestration.mirror.catalog import Table

# About 16 MB of rows, one insert: little is done twice after a crash, and the sessions end together. With 64 MB most of
# a table of 75 MB was one session's work.
_BLOCKS = 2048


@dataclass(frozen=True)
class Range:
    """Blocks from `first` up to, not including, `end`; the same numbers in each partition of a table."""

    first: int
    end: int

    @property
    def condition(self) -> sql.Composable:
        """The predicate that finds its rows."""
        return sql.SQL("ctid >= {} and ctid < {}").format(
            sql.Literal(f"({self.first},0)") + sql.SQL("::tid"), sql.Literal(f"({self.end},0)") + sql.SQL("::tid")
        )


def cut(connection: psycopg.Connection, table: Table) -> list[Range]:
    """Return the ranges that hold all rows of a snapshot that was taken before this call."""
    row = connection.execute(
        """
        select coalesce(max(pg_relation_size(relid)), 0) / current_setting('block_size')::int
        from (select %(oid)s::oid::regclass as relid union select relid from pg_partition_tree(%(oid)s::oid)) t
        """,
        {"oid": table.oid},
    ).fetchone()
    blocks = int(row[0]) if row else 0
    return [Range(first, first + _BLOCKS) for first in range(0, max(blocks, 1), _BLOCKS)]
