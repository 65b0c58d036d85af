"""`mirror setup` and `mirror check`: what they prepare, what they refuse, and that the role they make is enough."""

from collections.abc import Iterator

import psycopg
import pytest
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.settings import get_settings
from orchestration.source.migrate import migrate
from tests.integration.mirror.harness import DATABASE, Lab, every_server


@pytest.fixture
def run(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator["Command"]:
    command = Command(lab, monkeypatch)
    yield command
    get_settings.cache_clear()


class Command:
    """Runs `jangar-quant mirror ...` on the lab's source, as its owner or as another user."""

    def __init__(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        self._lab = lab
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, dsn: str = "") -> Result:
        settings = self._lab.settings()
        self._monkeypatch.setenv("TORGHUT_DB_DSN", dsn or self._lab.dsn)
        self._monkeypatch.setenv("CLICKHOUSE_URL", settings.warehouse_url())
        self._monkeypatch.setenv("JANGAR_QUANT_MIRROR_SLOT", settings.mirror_slot)
        self._monkeypatch.setenv("JANGAR_QUANT_MIRROR_PUBLICATION", settings.mirror_publication)
        get_settings.cache_clear()
        return CliRunner().invoke(app, ["mirror", *arguments])


@pytest.fixture
def role(lab: Lab) -> Iterator[str]:
    """A name for a role, which is dropped afterwards."""
    name = f"reader_{lab.slot}"
    yield name
    with lab.connect() as connection:
        if connection.execute("select from pg_roles where rolname = %s", (name,)).fetchone() is not None:
            connection.execute(f'drop owned by "{name}"'.encode())
            connection.execute(f'drop role "{name}"'.encode())


def login(lab: Lab, user: str, password: str) -> str:
    """Return the lab's connection string for another user."""
    info = lab.source.info
    return f"postgresql://{user}:{password}@{info.host}:{info.port}/{info.dbname}"


@every_server
def test_the_role_of_setup_is_enough_for_the_mirror_and_cannot_write(lab: Lab, run: Command, role: str) -> None:
    migrate(lab.dsn)
    done = run("setup", "--role", role)
    assert done.exit_code == 0, done.output
    password = done.output.partition("not shown again: ")[2].split()[0]
    assert done.output.count(password) == 1
    dsn = login(lab, role, password)
    checked = run("check", dsn=dsn)
    assert checked.exit_code == 0, checked.output
    with psycopg.connect(dsn) as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("delete from strategies")
    lab.execute(
        "insert into strategies (id, name, enabled, base_timeframe, universe_type) "
        "values (gen_random_uuid(), 's', true, '1m', 'x')"
    )
    with lab.mirror(TORGHUT_DB_DSN=dsn):
        lab.wait_until_streaming()
        lab.execute("update strategies set name = 'renamed'")
        lab.catch_up()
        assert lab.query(f"SELECT name FROM {DATABASE}.strategies FINAL") == [("renamed",)]
    # All is there: nothing is left to do.
    again = run("setup", "--role", role)
    assert (again.exit_code, "done:" in again.output) == (0, False), again.output + str(again.exception)


def test_without_rights_the_script_for_an_administrator_is_complete(lab: Lab, run: Command, role: str) -> None:
    migrate(lab.dsn)
    lab.execute(f"create role {role} login password 'hunter2'")
    refused = run("setup", "--role", role, dsn=login(lab, role, "hunter2"))
    assert refused.exit_code == 1
    message = str(refused.exception)
    assert "Nothing was changed" in message
    script = message.partition("administrator run:\n")[2]
    assert "hunter2" not in script
    assert script + "\n" == run("setup", "--role", role, "--sql", dsn=login(lab, role, "hunter2")).output
    lab.execute(script)
    checked = run("check", dsn=login(lab, role, "hunter2"))
    assert checked.exit_code == 0, checked.output


def test_a_table_that_would_break_the_application_is_refused(lab: Lab, run: Command) -> None:
    lab.execute(
        "create table good (id int primary key)",
        "create table later (id int primary key deferrable)",
        "create table nothing (id int primary key)",
        "alter table nothing replica identity nothing",
        "create table bare (a int)",
    )
    for table, reason in (("later", "deferrable"), ("nothing", "NOTHING"), ("bare", "no primary key")):
        refused = run("setup", "--table", "good", "--table", table)
        assert refused.exit_code == 1
        assert reason in str(refused.exception)
        assert "UPDATE and DELETE would fail" in str(refused.exception)
        assert lab.rows("pg_publication", "pubname", "1") == []
    assert "no table nowhere" in str(run("setup", "--table", "nowhere").exception)
    assert run("setup", "--table", "good").exit_code == 0
    assert lab.rows("pg_publication_tables", "tablename", "1") == [("good",)]


def test_a_known_table_without_identity_is_left_out_and_one_published_is_told(lab: Lab, run: Command) -> None:
    migrate(lab.dsn)
    lab.execute(
        "alter table position_snapshots drop constraint position_snapshots_pkey",
        "alter table position_snapshots add primary key (id) deferrable",
    )
    done = run("setup")
    assert done.exit_code == 0, done.output
    assert "left out: position_snapshots: its key is deferrable" in done.output
    assert "position_snapshots" not in {name for (name,) in lab.rows("pg_publication_tables", "tablename", "1")}
    lab.execute(f"alter publication {lab.slot} add table position_snapshots")
    # This is what is prevented: the server refuses the application's own statement.
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        lab.execute("update position_snapshots set cash = 0")
    checked = run("check", "--json")
    assert checked.exit_code == 1
    assert "the application cannot UPDATE or DELETE in position_snapshots" in checked.output
    assert "DROP TABLE" in checked.output


def test_check_compares_both_sides_and_status_tells_the_state(lab: Lab, run: Command) -> None:
    assert "No mirror has run" in str(run("status").exception)
    migrate(lab.dsn)
    assert "nothing is copied yet" in run("check", "--json").output
    with lab.mirror():
        lab.wait_until_streaming()
        assert "where the slot can continue" in run("check", "--json").output
        assert "streaming" in run("status").output
    lab.execute(f"select pg_drop_replication_slot('{lab.slot}')")
    checked = run("check", "--json")
    assert checked.exit_code == 1
    assert "is gone from the source" in checked.output
