"""What the benches of the mirror share: a source and a warehouse of their own, and the rows that they write."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from orchestration.source.embedded import EmbeddedPostgres
from orchestration.source.migrate import migrate
from tests.integration.mirror.harness import DATABASE, Lab, Warehouse
from tests.ports import free_port

_STRATEGY, _DECISION = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"


class Rows(NamedTuple):
    """A table, and an expression per column for a row numbered `g`."""

    table: str
    columns: str
    values: str

    def insert(self, first: int, last: int) -> bytes:
        """Return an INSERT of the rows `first` to `last`."""
        return (
            f"insert into {self.table} ({self.columns}) select {self.values} from generate_series({first}, {last}) g"
        ).encode()


# What a desk writes: one row in each of six tables of the schema.
DESK = (
    Rows(
        "trade_decisions",
        "id, strategy_id, alpaca_account_label, symbol, timeframe, decision_json, status",
        f"gen_random_uuid(), '{_STRATEGY}', 'paper', 'AAPL', '1Min', "
        "jsonb_build_object('qty', g, 'action', 'buy', 'params', repeat('x', 200)), 'planned'",
    ),
    Rows(
        "executions",
        "id, alpaca_order_id, client_order_id, symbol, side, order_type, time_in_force, submitted_qty, filled_qty, "
        "avg_fill_price, status, raw_order, last_update_at",
        "gen_random_uuid(), gen_random_uuid()::text, gen_random_uuid()::text, 'AAPL', 'buy', 'limit', 'day', g, g, "
        "random() * 100, 'filled', jsonb_build_object('id', g, 'cost_amount', '0.01'), now()",
    ),
    Rows(
        "position_snapshots",
        "id, alpaca_account_label, as_of, equity, cash, buying_power, positions",
        "gen_random_uuid(), 'paper', now(), 100000 + g, 1000, 2000, '[]'",
    ),
    Rows(
        "llm_decision_reviews",
        "id, trade_decision_id, model, prompt_version, input_json, response_json, verdict",
        f"gen_random_uuid(), '{_DECISION}', 'm', '1', '{{}}', '{{}}', 'approve'",
    ),
    Rows(
        "execution_order_events",
        "id, event_fingerprint, source_topic, event_ts, symbol, event_type, qty, filled_qty, raw_event",
        "gen_random_uuid(), gen_random_uuid()::text, 't', now(), 'AAPL', 'fill', g, g, '{}'",
    ),
    Rows(
        "lean_canary_incidents",
        "id, incident_key, breach_type, symbols",
        "gen_random_uuid(), gen_random_uuid()::text, 'drawdown', '[\"AAPL\"]'",
    ),
)

# The row that published rates of walsender, COPY and other tools were measured with: ten columns, some 230 bytes.
ORDERS = Rows(
    "bench_orders",
    "id, account, symbol, side, status, price, qty, created_at, meta, is_maker",
    "gen_random_uuid(), (g::bigint * 7919) % 10000, (array['BTC-USD', 'ETH-USD', 'SOL-USD', 'EURUSD', 'AAPL'])"
    "[1 + g % 5], (array['buy', 'sell'])[1 + g % 2], 'new', round((100 + random() * 60000)::numeric, 8), "
    "round((random() * 10)::numeric, 8), clock_timestamp(), jsonb_build_object('src', 'api', 'ip', "
    "'10.0.0.' || (g % 255), 'tags', jsonb_build_array('a', 'b'), 'n', g), g % 3 = 0",
)
_ORDERS_TABLE = (
    f"create table {ORDERS.table} (id uuid primary key, account bigint not null, symbol text not null, "
    "side text not null, status text not null, price numeric(20, 8) not null, qty numeric(20, 8) not null, "
    "created_at timestamptz not null, meta jsonb, is_maker bool)"
)


@contextmanager
def bench_lab() -> Iterator[Lab]:
    """Run a Postgres with the schema and the ten-column table, and a ClickHouse, in a temporary directory."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres", free_port())
        warehouse = Warehouse(Path(directory) / "warehouse")
        warehouse.state_dir.mkdir()
        postgres.start()
        try:
            warehouse.start()
            migrate(postgres.dsn())
            os.environ["JANGAR_QUANT_STATE_DIR"] = str(Path(directory) / "state")
            lab = Lab(postgres.dsn(), warehouse, "bench")
            lab.execute(
                _ORDERS_TABLE,
                "insert into strategies (id, name, enabled, base_timeframe, universe_type) "
                f"values ('{_STRATEGY}', 's', true, '1Min', 'static')",
                "insert into trade_decisions (id, strategy_id, alpaca_account_label, symbol, timeframe, decision_json, "
                f"status) values ('{_DECISION}', '{_STRATEGY}', 'paper', 'AAPL', '1Min', '{{}}', 'planned')",
            )
            lab.publish(ORDERS.table, *(rows.table for rows in DESK))
            yield lab
            lab.close()
        finally:
            warehouse.stop()
            postgres.stop()


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def parts(lab: Lab) -> dict[str, int]:
    """How many parts each table was ever given by inserts."""
    return dict(
        lab.query(f"SELECT table, max(max_block_number) FROM system.parts WHERE database = '{DATABASE}' GROUP BY table")  # type: ignore[arg-type]
    )
