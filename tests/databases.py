"""Databases of a test's own on a server that several tests share."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from orchestration.source.embedded import EmbeddedPostgres
from tests.waiting import wait_for


@contextmanager
def fresh_database(server: EmbeddedPostgres) -> Iterator[str]:
    """Make an empty database and give its connection string; drop it afterwards, with the slots that it left."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}")
    yield server.dsn(name)
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        # The server may still be ending the session of a mirror that is gone.
        wait_for(lambda: _drop_slots(connection, name), 20, f"the slots of {name} are dropped")
        connection.execute(f"drop database if exists {name} with (force)")


def _drop_slots(connection: psycopg.Connection, database: str) -> bool:
    """Drop the slots that nobody uses; whether that were all."""
    slots = connection.execute(
        "select slot_name, active from pg_replication_slots where database = %s", (database,)
    ).fetchall()
    for slot, active in slots:
        if not active:
            connection.execute("select pg_drop_replication_slot(%s)", (slot,))
    return not any(active for _, active in slots)
