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
# The functions are single expressions that Postgres inlines; as calls they cost more than the inserts.
ID_FUNCTION = """
create function pg_temp.load_uuid(text) returns uuid language sql immutable as $$
    select overlay(overlay(md5('jangar-quant:' || $1) placing '8' from 13) placing '8' from 17)::uuid
$$
"""
# The same, but growing with time: its first 48 bits are the milliseconds since 1970. Random ids touched every page of
# ten indexes and made the load of 500,000 fills twice as long.
TIMED_ID_FUNCTION = """
create function pg_temp.load_uuid(timestamptz, text) returns uuid language sql stable as $$
    select (
        lpad(to_hex((extract(epoch from $1) * 1000)::bigint), 12, '0')
        || '8' || substr(md5('jangar-quant:' || $2), 14, 3) || '8' || substr(md5('jangar-quant:' || $2), 18)
    )::uuid
$$
"""
# How JSON documents write a moment.
MOMENT_FUNCTION = """
create function pg_temp.load_moment(timestamptz) returns text language sql stable as $$
    select to_char($1 at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$
"""
# What a decision is called at the broker: 64 hexadecimal digits.
HASH_FUNCTION = """
create function pg_temp.load_hash(uuid) returns text language sql stable as $$
    select replace($1::text, '-', '') || md5($1::text)
$$
"""


def prepare(connection: psycopg.Connection) -> None:
    """Create the session's temporary tables and functions."""
    connection.execute("set timezone = 'UTC'")
    # Sorting and joining some millions of staged rows; only this session's.
    connection.execute("set work_mem = '64MB'")
    for statement in (
        STAGE_FILLS,
        STAGE_EQUITY,
        STAGE_POSITIONS,
        ID_FUNCTION,
        TIMED_ID_FUNCTION,
        MOMENT_FUNCTION,
        HASH_FUNCTION,
    ):
        connection.execute(statement)


def copy_rows(copy: psycopg.Copy, rows: Iterable[Sequence[str | None]]) -> None:
    """Write rows of text (None is NULL) to a COPY in text format."""
    lines = ["\t".join("\\N" if cell is None else cell.replace("\\", "\\\\") for cell in row) for row in rows]
    if lines:
        copy.write("\n".join(lines) + "\n")
