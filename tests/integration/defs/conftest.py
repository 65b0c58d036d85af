"""Postgres, the mirror and a built warehouse, in which jobs run as Dagster runs them, in this process."""

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from orchestration.mirror.service import Service
from orchestration.settings import Settings, get_settings
from orchestration.source.embedded import EmbeddedPostgres
from orchestration.source.migrate import migrate
from orchestration.warehouse.client import connect
from tests.databases import fresh_database
from tests.integration.mirror.harness import RunningMirror
from tests.oracles.world import FACTS, REPLACED, VIEWS
from tests.template import copy_of_built_warehouse, running_warehouse
from tests.waiting import wait_for

# Of the accounts, one that is always open.
CRYPTO = "paper-crypto"
# A full hour, so that the hours before it are summed up.
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
FIRST = NOW - timedelta(hours=30)


@dataclass
class DagsterLab:
    """A source with two accounts that traded yesterday and today, mirrored; `run` runs a job."""

    settings: Settings
    client: Client
    source: psycopg.Connection[Any]
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    _ticking: threading.Event = field(default_factory=threading.Event)

    def run(self, job: str, config: dict[str, Any] | None = None, **options: Any) -> dg.ExecuteInProcessResult:
        """Run a job to its end; its config is by op."""
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            run_config={"ops": {op: {"config": values} for op, values in (config or {}).items()}},
            **options,
        )

    def verdicts(self, result: dg.ExecuteInProcessResult) -> dict[str, bool]:
        """Whether each check that a run evaluated has passed, by `database/table:check`."""
        return {
            f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}": evaluation.passed
            for evaluation in result.get_asset_check_evaluations()
        }

    def gate(self, check: str) -> dict[str, str]:
        """What the warehouse keeps of a check, by account."""
        rows = self.client.query(
            "select account, status from quant.quality_gate final where check_name = {check:String}",
            parameters={"check": check},
        ).result_rows
        return {row[0]: row[1] for row in rows}

    def served_quality(self) -> dict[str, set[str]]:
        """Quality by account, as the API serves it."""
        rows = self.client.query(
            "select account, groupUniqArray(quality) from quant.api_metric_frames_latest group by account"
        ).result_rows
        return {account: set(qualities) for account, qualities in rows}

    def order(self, account: str, side: str, quantity: int, price: str, at: datetime) -> uuid.UUID:
        """A filled order in the source."""
        identity = uuid.uuid4()
        self.source.execute(
            "insert into executions (id, alpaca_order_id, client_order_id, symbol, side, order_type, time_in_force,"
            " submitted_qty, filled_qty, avg_fill_price, status, raw_order, alpaca_account_label, created_at)"
            " values (%s, %s, %s, 'BTC/USD', %s, 'market', 'day', %s, %s, %s, 'filled', %s, %s, %s)",
            (
                *(identity, str(identity), str(identity), side, quantity, quantity, Decimal(price)),
                *(json.dumps({"filled_at": at.isoformat(), "cost_amount": "0.5"}), account, at),
            ),
        )
        return identity

    def snapshot(self, account: str, equity: str, at: datetime) -> None:
        """A snapshot of an account in the source."""
        self.source.execute(
            "insert into position_snapshots (id, alpaca_account_label, as_of, equity, cash, buying_power, positions,"
            " created_at) values (%s, %s, %s, %s, %s, %s, '[]', %s)",
            (uuid.uuid4(), account, at, Decimal(equity), Decimal(equity), Decimal(equity), at),
        )

    def catch_up(self) -> None:
        """Wait until what is committed is mirrored."""
        row = self.source.execute("select clock_timestamp()").fetchone()
        assert row is not None
        wait_for(
            lambda: (
                self.client.query("select max(watermark) from torghut_raw.mirror_checkpoint").result_rows[0][0] > row[0]
            ),
            60,
            "the mirror has caught up",
        )

    def tick(self, views: tuple[str, ...] = VIEWS) -> None:
        """Run the views of one second, in their order."""
        for view in views:
            self.client.command(f"system refresh view quant.{view}")
            self.client.command(f"system wait view quant.{view}")

    def keep_ticking(self, until: threading.Event) -> None:
        """Run the facts and the ledger again and again, as the warehouse does by itself."""
        with connect(self.settings) as client:
            while not until.wait(0.2):
                for view in FACTS:
                    client.command(f"system refresh view quant.{view}")
                    # Fails for a view that a repair has stopped meanwhile.
                    client.command(f"system wait view quant.{view}")


@pytest.fixture(scope="package")
def dagster_lab(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DagsterLab]:
    """One lab for all tests of the jobs; each leaves it repaired."""
    state = tmp_path_factory.mktemp("dagster") / "state"
    copy_of_built_warehouse(tmp_path_factory, state)
    patch = pytest.MonkeyPatch()
    with fresh_database(postgres_server) as dsn, running_warehouse(state):
        migrate(dsn)
        for name, value in {
            "TORGHUT_DB_DSN": dsn,
            "JANGAR_QUANT_MIRROR_SLOT": "m_dagster",
            "JANGAR_QUANT_MIRROR_PUBLICATION": "m_dagster",
            "JANGAR_QUANT_MIRROR_FLUSH_MS": "20",
            "JANGAR_QUANT_MIRROR_HEARTBEAT_SECONDS": "0.2",
        }.items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        settings = get_settings()
        from orchestration.defs.everything import definitions

        mirror = RunningMirror(Service(settings))
        try:
            with connect(settings) as client, psycopg.connect(dsn, autocommit=True) as source:
                for view in VIEWS:
                    form = "" if view in REPLACED else " append"
                    client.command(f"alter table quant.{view} modify refresh every 1 year{form}")
                lab = DagsterLab(settings, client, source, dg.DagsterInstance.ephemeral(), definitions("embedded"))
                for number in range(12):
                    at = FIRST + timedelta(minutes=100 * number)
                    for account in (CRYPTO, "two"):
                        lab.order(account, "sell" if number % 3 == 2 else "buy", 2, f"{100 + number}", at)
                        lab.snapshot(account, f"{100_000 + number}", at)
                lab.catch_up()
                for _ in range(2):
                    lab.tick()
                yield lab
        finally:
            mirror.stop()
            patch.undo()
            get_settings.cache_clear()
