"""Databases of a test's own on a server that several tests share."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from orchestration.source.embedded import EmbeddedPostgres


@contextmanager
def fresh_database(server: EmbeddedPostgres) -> Iterator[str]:
    """Make an empty database and give its connection string; drop it afterwards, with the slots that it left."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}")
    yield server.dsn(name)
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        for (slot,) in connection.execute(
            "select slot_name from pg_replication_slots where database = %s and not active", (name,)
        ).fetchall():
            connection.execute("select pg_drop_replication_slot(%s)", (slot,))
        connection.execute(f"drop database if exists {name} with (force)")
