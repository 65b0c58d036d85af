"""Random transactions on one table, with a log of what was committed that Postgres keeps itself, by triggers."""

import random
import threading

import psycopg

from tests.integration.mirror.harness import Lab

# `n` and `doc` are compared in every version of a row; the columns that come and go only in the current rows.
TABLES = """
create table t (id bigint primary key, n bigint not null, doc text, w int, spare text);
create table audit (
    seq bigserial primary key, lsn pg_lsn not null default pg_current_wal_insert_lsn(),
    op text, id bigint, n bigint, doc text
);
create function log_row() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' or tg_op = 'UPDATE' and old.id <> new.id then
        insert into audit (op, id) values ('delete', old.id);
    end if;
    if tg_op <> 'DELETE' then
        insert into audit (op, id, n, doc) values (lower(tg_op), new.id, new.n, md5(new.doc));
    end if;
    return null;
end $$;
create function log_truncate() returns trigger language plpgsql as $$
begin
    insert into audit (op, id) select 'truncate', id from t;
    return null;
end $$;
create trigger log_row after insert or update or delete on t for each row execute function log_row();
create trigger log_truncate before truncate on t for each statement execute function log_truncate();
insert into t (id, n, doc) select g, g, md5(g::text) from generate_series(0, 60) g;
"""

# In this order, each in a transaction with changes of rows before and after it.
DDL = (
    "alter table t add column c int not null default 7",
    "alter table t alter column w type bigint",
    "alter table t drop column spare",
    "alter table t rename column c to d",
    "alter table t alter column w type numeric(30,4)",
    "alter table t add column f float8 default random()",
    "alter table t alter column w type text",
    "alter table t add column spare int",
)

_KEYS = 300
_BIG_DOC = "(select string_agg(md5(g::text || random()), '') from generate_series(1, 400) g)"


class Writers:
    """Two writers, each with a random stream of its own; they go on through restarts of the server."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self._lab = lab
        self._running = threading.Event()
        self._stop = threading.Event()
        self._idle = [threading.Event(), threading.Event()]
        self._ddl = list(DDL)
        self.committed = 0
        self._threads = [
            threading.Thread(target=self._run, args=(number, random.Random(seed * 2 + number)), daemon=True)
            for number in range(2)
        ]
        for thread in self._threads:
            thread.start()

    def go_on(self) -> None:
        """Write until `pause`."""
        for idle in self._idle:
            idle.clear()
        self._running.set()

    def pause(self) -> None:
        """Return when no transaction is open any more."""
        self._running.clear()
        for idle in self._idle:
            assert idle.wait(60)

    def close(self) -> None:
        """End the threads."""
        self._stop.set()
        self._running.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _run(self, number: int, pick: random.Random) -> None:
        while not self._stop.is_set():
            self._idle[number].set()
            self._running.wait()
            try:
                with self._lab.connect() as connection:
                    while self._running.is_set() and not self._stop.wait(0.005):
                        self._idle[number].clear()
                        self._transaction(connection, pick, number)
                        self.committed += 1
            except (psycopg.Error, psycopg.Rollback):
                # A deadlock, or the server restarts; what was not committed is nowhere.
                self._stop.wait(0.1)

    def _transaction(self, connection: psycopg.Connection, pick: random.Random, number: int) -> None:
        kind = pick.random()
        with connection.transaction():
            if kind < 0.04:
                # Beyond what the mirror keeps in memory of one transaction.
                connection.execute(
                    f"insert into t (id, n, doc) select 100000 + g, {pick.randrange(1000)}, {_BIG_DOC} || g "
                    "from generate_series(1, 800) g on conflict (id) do update set n = excluded.n".encode()
                )
            elif kind < 0.07:
                connection.execute("delete from t where id >= 100000")
            elif kind < 0.09:
                self._change(connection, pick, 2)
                connection.execute("truncate t")
                connection.execute("insert into t (id, n, doc) values (0, 0, 'always here')")
            elif kind < 0.14 and number == 0 and self._ddl:
                self._change(connection, pick, 2)
                connection.execute(self._ddl[0].encode())
                self._change(connection, pick, 2)
                # A rollback or a crash may still undo it: forgotten only when it is seen to be there.
            else:
                self._change(connection, pick, pick.choice([1, 1, 1, 2, 5, 200]))
            if pick.random() < 0.3:
                with connection.transaction() as savepoint:
                    self._change(connection, pick, pick.choice([1, 150]))
                    if pick.random() < 0.6:
                        raise psycopg.Rollback(savepoint)
                self._change(connection, pick, 1)
            if pick.random() < 0.1:
                raise psycopg.Rollback
        if kind >= 0.09 and kind < 0.14 and number == 0 and self._ddl:
            self._forget_done(connection)

    def _change(self, connection: psycopg.Connection, pick: random.Random, count: int) -> None:
        for _ in range(count):
            row, value = pick.randrange(1, _KEYS), pick.randrange(1_000_000)
            what = pick.random()
            if what < 0.4:
                doc = pick.choice([_BIG_DOC, "md5(random()::text)"])
                connection.execute(
                    f"insert into t (id, n, doc) values (%s, %s, {doc}) "
                    "on conflict (id) do update set n = excluded.n".encode(),
                    (row, value),
                )
            elif what < 0.75:
                connection.execute("update t set n = %s where id = %s", (value, row))
            elif what < 0.85:
                connection.execute("delete from t where id = %s", (row,))
            else:
                connection.execute(
                    "update t set id = %s, n = %s where id = %s and not exists (select 1 from t where id = %s)",
                    (row + 1000, value, row, row + 1000),
                )

    def _forget_done(self, connection: psycopg.Connection) -> None:
        found = connection.execute(
            "select attname, atttypid::regtype::text from pg_attribute "
            "where attrelid = 't'::regclass and attnum > 0 and not attisdropped"
        ).fetchall()
        columns = dict(found)
        done = (
            "c" in columns,
            columns["w"] == "bigint",
            "spare" not in columns,
            "d" in columns,
            columns["w"] == "numeric",
            "f" in columns,
            columns["w"] == "text",
            columns.get("spare") == "integer",
        )
        if done[len(DDL) - len(self._ddl)]:
            self._ddl.pop(0)
