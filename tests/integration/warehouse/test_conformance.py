"""One script of statements through every kind of client: clickhouse-connect, its async twin, raw HTTP and dbt."""

import ast
import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import clickhouse_connect
import pytest
import yaml

from tests.conftest import WarehouseServer
from tests.integration.warehouse.processes import Http
from tests.waiting import wait_for

# Statements that return rows are compared; the others must only succeed. `{db}` is the client's own database.
SCRIPT = [
    "CREATE TABLE {db}.trades (id UInt32, symbol LowCardinality(String), qty Decimal(18, 4), price Nullable(Float64),"
    " at DateTime64(3, 'UTC'), tags Array(String)) ENGINE = MergeTree ORDER BY id",
    "INSERT INTO {db}.trades VALUES (1, 'AAPL', 1.5, 100.25, '2026-01-05 14:30:00.125', ['a', 'b\\'c']),"
    " (2, 'MSFT', -2, NULL, '2026-01-05 14:31:00', [])",
    "INSERT INTO {db}.trades SELECT number + 3, 'AAPL', number, number / 4, '2026-01-06 00:00:00', [] FROM numbers(3)",
    "SELECT symbol, count(), sum(qty), avg(price) FROM {db}.trades GROUP BY symbol ORDER BY symbol",
    "SELECT id, at, tags, price IS NULL FROM {db}.trades ORDER BY id LIMIT 2",
    "SELECT id, sum(qty) OVER (PARTITION BY symbol ORDER BY id) AS position FROM {db}.trades ORDER BY id",
    "CREATE VIEW {db}.as_of_view AS SELECT count() AS n FROM {db}.trades WHERE at <= {{as_of:DateTime64(3)}}",
    "SELECT n FROM {db}.as_of_view(as_of = toDateTime64('2026-01-05 23:00:00', 3))",
    "CREATE TABLE {db}.latest (symbol String, qty Decimal(18, 4), v UInt64) ENGINE = ReplacingMergeTree(v)"
    " ORDER BY symbol",
    "INSERT INTO {db}.latest SELECT symbol, qty, id FROM {db}.trades",
    "SELECT * FROM {db}.latest FINAL ORDER BY symbol",
    "ALTER TABLE {db}.trades ADD COLUMN note String DEFAULT 'none'",
    "ALTER TABLE {db}.trades DELETE WHERE id = 2 SETTINGS mutations_sync = 2",
    "SELECT id, note FROM {db}.trades ORDER BY id",
    "CREATE MATERIALIZED VIEW {db}.refreshed REFRESH EVERY 1 HOUR ENGINE = MergeTree ORDER BY n EMPTY AS"
    " SELECT count() AS n FROM {db}.trades",
    "SYSTEM REFRESH VIEW {db}.refreshed",
    "SYSTEM WAIT VIEW {db}.refreshed",
    "SELECT n FROM {db}.refreshed",
    "EXISTS TABLE {db}.trades",
    "DESCRIBE TABLE {db}.latest",
    "RENAME TABLE {db}.latest TO {db}.newest",
    "SELECT name, engine FROM system.tables WHERE database = '{db}' AND name NOT LIKE '.inner%' ORDER BY name",
    "DROP TABLE {db}.newest",
    "SELECT count() FROM system.tables WHERE database = '{db}' AND name = 'newest'",
]

_MARK = "RESULTS "

Run = Callable[[str], list[list[str]] | None]


def _returns_rows(statement: str) -> bool:
    return statement.split()[0] in ("SELECT", "EXISTS", "DESCRIBE")


def _plain(rows: object) -> list[list[str]]:
    """Rows of any client in one spelling."""
    return [[_spelled(value) for value in row] for row in rows]  # type: ignore[attr-defined]


def _spelled(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_spelled(item) for item in value) + "]"
    if hasattr(value, "isoformat"):
        return value.isoformat(sep=" ", timespec="milliseconds")[:23]  # type: ignore[attr-defined]
    if isinstance(value, bool):
        return str(int(value))
    if value is None:
        return "NULL"
    try:
        return f"{float(value):.6f}"  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value)


def _script(database: str, run: Run) -> list[list[list[str]] | None]:
    return [run(statement.format(db=database)) for statement in SCRIPT]


def _by_http(port: int, database: str) -> list[list[list[str]] | None]:
    http = Http(port)

    def run(statement: str) -> list[list[str]] | None:
        if not _returns_rows(statement):
            http.sql(statement)
            return None
        answer = http.request(body=statement, default_format="JSONCompactEachRow")
        assert answer.status == 200, answer.text
        return _plain(json.loads(line) for line in answer.text.splitlines())

    return _script(database, run)


def _by_connect(port: int, database: str) -> list[list[list[str]] | None]:
    client = clickhouse_connect.get_client(host="127.0.0.1", port=port, database=database)

    def run(statement: str) -> list[list[str]] | None:
        if not _returns_rows(statement):
            client.command(statement)
            return None
        return _plain(client.query(statement).result_rows)

    try:
        return _script(database, run)
    finally:
        client.close()


def _by_async_connect(port: int, database: str) -> list[list[list[str]] | None]:
    async def main() -> list[list[list[str]] | None]:
        client = await clickhouse_connect.get_async_client(
            host="127.0.0.1", port=port, database=database, autogenerate_session_id=False
        )
        results: list[list[list[str]] | None] = []
        for statement in (text.format(db=database) for text in SCRIPT):
            if _returns_rows(statement):
                results.append(_plain((await client.query(statement)).result_rows))
            else:
                await client.command(statement)
                results.append(None)
        await client.close()
        return results

    return asyncio.run(main())


def _by_dbt(port: int, database: str, project: Path) -> list[list[list[str]] | None]:
    """Run the script as a macro, build the project, and run its incremental model once more."""
    _write_project(project, port, database)
    statements = [text.format(db=database) for text in SCRIPT]
    arguments = {"statements": statements, "with_rows": [_returns_rows(text) for text in statements]}
    output = _dbt(
        project,
        ["run-operation", "script", "--args", json.dumps(arguments)],
        ["build"],
        ["run", "--select", "grown"],
    )
    line = next(line for line in output.splitlines() if _MARK in line)
    results = json.loads(line.split(_MARK, 1)[1])
    return [None if rows is None else _plain([_typed(value) for value in row] for row in rows) for rows in results]


def _typed(text: str) -> object:
    """A value that dbt's tables hold as text."""
    if text == "None":
        return None
    if text in ("True", "False"):
        return text == "True"
    if text.startswith("["):
        return ast.literal_eval(text)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


# One process for all invocations: importing and parsing take longer than the queries.
_INVOKE = """
import json, sys
from dbt.cli.main import dbtRunner
runner = dbtRunner()
for arguments in json.loads(sys.argv[1]):
    outcome = runner.invoke([*arguments, "--project-dir", ".", "--profiles-dir", "."])
    if not outcome.success:
        sys.exit(1)
"""


def _dbt(project: Path, *invocations: list[str]) -> str:
    """Run dbt invocations in a row and return what they printed."""
    done = subprocess.run(
        [sys.executable, "-c", _INVOKE, json.dumps(invocations)],
        env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_USE_COLORS": "false"},
        cwd=project,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_dbt_gives_what_raw_http_gives_and_builds(warehouse_server: WarehouseServer, tmp_path: Path) -> None:
    port, http = warehouse_server.port, Http(warehouse_server.port)
    http.sql("CREATE DATABASE script_http")
    http.sql("CREATE DATABASE script_dbt")
    try:
        assert _by_dbt(port, "script_dbt", tmp_path) == _by_http(port, "script_http")
        assert http.sql("SELECT total FROM script_dbt.total") == "30\n"
        assert http.sql("SELECT symbol, lot FROM script_dbt.grown ORDER BY symbol") == "AAPL\t120\nMSFT\t110\n"
        wait_for(lambda: http.sql("SELECT n FROM script_dbt.refreshed") == "2\n", 20, "the view refreshes")
    finally:
        http.sql("DROP DATABASE script_http SYNC")
        http.sql("DROP DATABASE script_dbt SYNC")


def _write_project(project: Path, port: int, database: str) -> None:
    files = {
        "dbt_project.yml": yaml.safe_dump(
            {"name": "tiny", "version": "1.0", "profile": "tiny", "models": {"tiny": {"+materialized": "view"}}}
        ),
        "profiles.yml": yaml.safe_dump(
            {
                "tiny": {
                    "target": "here",
                    "outputs": {
                        "here": {
                            "type": "clickhouse",
                            "driver": "http",
                            "host": "127.0.0.1",
                            "port": port,
                            "schema": database,
                            "threads": 2,
                            "use_lw_deletes": True,
                        }
                    },
                }
            }
        ),
        "seeds/symbols.csv": "symbol,lot\nAAPL,10\nMSFT,5\n",
        "models/doubled.sql": "select symbol, lot * 2 as lot from {{ ref('symbols') }}",
        "models/total.sql": "{{ config(materialized='table', engine='MergeTree()', order_by='total') }}\n"
        "select sum(lot) as total from {{ ref('doubled') }}",
        "models/grown.sql": "{{ config(materialized='incremental', unique_key='symbol', order_by='symbol',"
        " incremental_strategy='delete+insert') }}\n"
        "select symbol, lot + {{ 100 if is_incremental() else 0 }} as lot from {{ ref('doubled') }}",
        "models/refreshed.sql": "{{ config(materialized='materialized_view', order_by='n', engine='MergeTree()',"
        " refreshable={'interval': 'EVERY 1 SECOND'}) }}\nselect count() as n from {{ ref('symbols') }}",
        "models/schema.yml": "version: 2\nmodels:\n  - name: doubled\n    columns:\n      - name: symbol\n"
        "        data_tests: [unique, not_null]\n",
        "macros/script.sql": """{% macro script(statements, with_rows) %}
  {% set results = [] %}
  {% for statement in statements %}
    {% if with_rows[loop.index0] %}
      {% set rows = [] %}
      {% for row in run_query(statement).rows %}{% do rows.append(row.values() | map('string') | list) %}{% endfor %}
      {% do results.append(rows) %}
    {% else %}
      {% do run_query(statement) %}
      {% do results.append(none) %}
    {% endif %}
  {% endfor %}
  {% do log('RESULTS ' ~ tojson(results), info=true) %}
{% endmacro %}
""",
    }
    for name, text in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize("client", ["connect", "async_connect"])
def test_clients_give_what_raw_http_gives(warehouse_server: WarehouseServer, client: str) -> None:
    port, http = warehouse_server.port, Http(warehouse_server.port)
    expected_database, database = "script_http", f"script_{client}"
    http.sql(f"CREATE DATABASE {expected_database}")
    http.sql(f"CREATE DATABASE {database}")
    try:
        expected = _by_http(port, expected_database)
        assert any(rows for rows in expected)
        run = {"connect": _by_connect, "async_connect": _by_async_connect}[client]
        assert run(port, database) == expected
    finally:
        http.sql(f"DROP DATABASE {expected_database} SYNC")
        http.sql(f"DROP DATABASE {database} SYNC")
