"""Load room: staging tables of one session, filled by COPY with checked rows; nothing in the source changes yet."""

from collections.abc import Iterable, Sequence

import psycopg

STAGE_FILLS = """
create temp table load_fill (
    n bigint not null,
    line bigint not null,
    account text not null,
    strategy text not null,
    order_key text,
    fill_id text,
    fill_key uuid not null,
    symbol text not null,
    side text not null,
    qty numeric not null,
    price numeric not null,
    ts timestamptz not null,
    fee numeric,
    decided_at timestamptz,
    submitted_at timestamptz,
    arrival_price numeric,
    order_type text not null,
    limit_price numeric
)
"""
STAGE_EQUITY = """
create temp table load_equity (
    line bigint not null,
    account text not null,
    as_of timestamptz not null,
    equity numeric not null,
    cash numeric,
    buying_power numeric
)
"""
STAGE_POSITIONS = """
create temp table load_positions (
    line bigint not null,
    account text not null,
    as_of timestamptz not null,
    positions jsonb not null,
    total numeric not null,
    cash numeric
)
"""
# Deterministic ids (UUID version 8: a rule of our own): the same fill has the same id in every load of every file.
ID_FUNCTION = """
create function pg_temp.load_uuid(text) returns uuid language sql immutable strict as $$
    select (substr(h, 1, 12) || '8' || substr(h, 14, 3) || '8' || substr(h, 18))::uuid
    from (select md5('jangar-quant:' || $1) as h) as hashed
$$
"""
# How JSON documents write a moment.
MOMENT_FUNCTION = """
create function pg_temp.load_moment(timestamptz) returns text language sql immutable strict as $$
    select to_char($1 at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$
"""


def prepare(connection: psycopg.Connection) -> None:
    """Create the session's temporary tables and functions."""
    connection.execute("set timezone = 'UTC'")
    # Sorting and joining some millions of staged rows; only this session's.
    connection.execute("set work_mem = '64MB'")
    for statement in (STAGE_FILLS, STAGE_EQUITY, STAGE_POSITIONS, ID_FUNCTION, MOMENT_FUNCTION):
        connection.execute(statement)


def copy_rows(copy: psycopg.Copy, rows: Iterable[Sequence[str | None]]) -> None:
    """Write rows of text (None is NULL) to a COPY in text format."""
    lines = ["\t".join("\\N" if cell is None else cell.replace("\\", "\\\\") for cell in row) for row in rows]
    if lines:
        copy.write("\n".join(lines) + "\n")
