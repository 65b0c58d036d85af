"""Orders that hypothesis draws, through Postgres and the mirror: however they arrive, the ledger is the book's.

An order arrives as one version or as several, with partial fills, corrected prices, moved times or a deletion; versions
of different orders are shuffled over transactions, written twice, or rolled back and tried again.
"""

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.source.embedded import EmbeddedPostgres
from orchestration.source.migrate import migrate
from tests.databases import fresh_database
from tests.integration.mirror.harness import Lab, Warehouse
from tests.oracles.reference import Book
from tests.oracles.world import FACTS, REPLACED
from tests.template import copy_of_built_warehouse

START = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
EIGHT = Decimal("0.00000001")
TOLERANCE = Decimal("1e-9")


@dataclass(frozen=True)
class Version:
    """An order as the application writes it once: cumulative quantity and average price, and when it was filled."""

    filled: Decimal
    price: Decimal
    at: datetime
    status: str = "filled"


@dataclass(frozen=True)
class Stream:
    """An order's identity and its versions in the order in which they are written."""

    id: uuid.UUID
    side: str
    fee: Decimal
    versions: tuple[Version, ...]
    is_deleted: bool

    def fills(self) -> list[tuple[datetime, str, str, Decimal, Decimal, Decimal]]:
        """What is known in the end: (moment, fill id, side, quantity, notional, fee)."""
        if self.is_deleted:
            return []
        known: dict[Decimal, Version] = {}
        for version in self.versions:
            first = known.get(version.filled)
            # The same quantity again is the same fill: its first time, its last price.
            known[version.filled] = version if first is None else Version(version.filled, version.price, first.at)
        total = max(known)
        done = spent = Decimal(0)
        found = []
        for number, (quantity, version) in enumerate(sorted(known.items()), 1):
            notional = quantity * version.price
            fee = self.fee * (quantity - done) / total
            found.append((version.at, f"{self.id}/{number:06}", self.side, quantity - done, notional - spent, fee))
            done, spent = quantity, notional
        return found


class Source:
    """The application: writes orders into Postgres, and lets the facts and the ledger catch up."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.examples = 0

    def write(self, connection: psycopg.Connection, account: str, order: Stream, version: Version) -> None:
        """Insert the order or update its row."""
        raw = {"filled_at": version.at.isoformat(), "cost_amount": str(order.fee)}
        connection.execute(
            "insert into executions (id, alpaca_order_id, client_order_id, symbol, side, order_type, time_in_force,"
            " submitted_qty, filled_qty, avg_fill_price, status, raw_order, alpaca_account_label)"
            " values (%(id)s::uuid, %(id)s::text, %(id)s::text, 'MU', %(side)s, 'market', 'day', %(total)s,"
            " %(filled)s, %(price)s, %(status)s, %(raw)s, %(account)s)"
            " on conflict (id) do update set filled_qty = excluded.filled_qty,"
            " avg_fill_price = excluded.avg_fill_price, status = excluded.status,"
            " raw_order = excluded.raw_order, updated_at = now()",
            {
                "id": str(order.id),
                "side": order.side,
                "total": order.versions[-1].filled,
                "filled": version.filled,
                "price": version.price,
                "status": version.status,
                "raw": json.dumps(raw),
                "account": account,
            },
        )

    def tick(self) -> None:
        """Wait for the mirror, and run the views of one tick."""
        self.lab.catch_up()
        for view in FACTS:
            self.lab.client.command(f"system refresh view quant.{view}")
            self.lab.client.command(f"system wait view quant.{view}")

    def ledger(self) -> list[tuple[Any, ...]]:
        """The whole ledger, to the last digit."""
        return self.lab.query(
            "select * except (revision) from quant.position_ledger final order by account, strategy_id, symbol, ordinal"
        )

    def rebuild(self) -> None:
        """Throw away everything that is derived, and compute it from the mirrored rows again."""
        for view in FACTS:
            self.lab.client.command(f"truncate table quant.{view.removesuffix('_refresh')}")
        self.lab.client.command("truncate table quant.ledger_head")
        self.tick()


@pytest.fixture(scope="module")
def source(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """Torghut's schema, mirrored into a warehouse with the project built in it."""
    state = tmp_path_factory.mktemp("ledger") / "state"
    copy_of_built_warehouse(tmp_path_factory, state)
    warehouse = Warehouse(state)
    warehouse.start()
    try:
        with fresh_database(postgres_server) as dsn:
            migrate(dsn)
            lab = Lab(dsn, warehouse, f"m_{uuid.uuid4().hex[:12]}", is_empty=False)
            for (view,) in lab.query("select view from system.view_refreshes"):
                form = "" if view in REPLACED else " append"
                lab.client.command(f"alter table quant.{view} modify refresh every 1 year{form}")
            with lab.mirror():
                lab.wait_until_streaming(60)
                yield Source(lab)
            lab.close()
    finally:
        warehouse.stop()


moments = st.integers(0, 40).map(lambda second: START + timedelta(seconds=second))
quantities = st.decimals("0.00000001", "500", places=8)
prices = st.decimals("90", "110", places=8)


@st.composite
def orders(draw: st.DrawFn) -> Stream:
    """An order, and what happens to it."""
    total, price, at = draw(quantities), draw(prices), draw(moments)
    versions = [Version(total, price, at)]
    happening = draw(st.sampled_from(["nothing", "partial", "corrected", "again"]))
    if happening == "partial" and total > 1:
        shares = sorted(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True)))
        partials = [(total * share / 10).quantize(EIGHT) for share in shares]
        # The average moves so little that no part of it costs nothing.
        versions = [
            Version(part, price, at + timedelta(milliseconds=number), "partially_filled")
            for number, part in enumerate(partials)
        ] + [Version(total, (price + Decimal(draw(st.integers(-5, 5))) / 100), at + timedelta(seconds=1))]
    elif happening == "corrected":
        versions.append(Version(total, draw(prices), at))
    elif happening == "again":
        versions.append(versions[0])
    return Stream(
        uuid.UUID(int=draw(st.integers(0, 2**128 - 1)), version=4),
        draw(st.sampled_from(["buy", "sell"])),
        draw(st.decimals("0", "5", places=2)),
        tuple(versions),
        draw(st.integers(0, 9)) == 0,
    )


def check(source: Source, drawn: list[Stream], seed: int, batches: int) -> None:
    """Write the streams shuffled over transactions, with a tick behind each, and compare the ledger with the book."""
    source.examples += 1
    account, rng = f"a{source.examples}", random.Random(seed)
    # Ids are unique in the whole table.
    drawn = [replace(order, id=uuid.uuid5(order.id, account)) for order in drawn]
    # Versions of an order in their order, those of different orders in any.
    turns = [order for order in drawn for _ in range(len(order.versions) + order.is_deleted)]
    rng.shuffle(turns)
    waiting = {order.id: list(order.versions) for order in drawn}
    ends = sorted([*rng.sample(range(1, len(turns) + 1), min(batches, len(turns)) - 1), len(turns)])
    start = 0
    with source.lab.connect() as connection:
        for end in dict.fromkeys(ends):
            with connection.transaction():
                for order in turns[start:end]:
                    if not waiting[order.id]:
                        connection.execute("delete from executions where id = %s", (str(order.id),))
                        continue
                    version = waiting[order.id].pop(0)
                    if rng.random() < 0.2:
                        with connection.transaction(force_rollback=True):
                            source.write(connection, account, order, version)
                    source.write(connection, account, order, version)
            start = end
            source.tick()
    rows = source.lab.client.query(
        "select * from quant.position_ledger final where account = {account:String} order by ordinal",
        parameters={"account": account},
    )
    found = list(rows.named_results())
    wanted = sorted((fill for order in drawn for fill in order.fills()), key=lambda fill: fill[:2])
    assert [row["fill_id"] for row in found] == [fill[1] for fill in wanted]
    book = Book()
    for _, _, side, quantity, notional, fee in wanted:
        book.fill(side, quantity, notional / quantity, fee)
    assert [row["position_after"] for row in found] == book.positions
    for row, realized, fee in zip(found, book.realized, book.closing_fees, strict=True):
        assert abs(row["gross_realized_pnl"] - realized) <= TOLERANCE
        assert abs(row["closing_fee"] - fee) <= TOLERANCE
    if found:
        # Realized profit minus the cost of what is open is the money that went in and out.
        cost = found[-1]["open_cost"].copy_sign(found[-1]["position_after"] or 1)
        paid = sum(row["notional"].copy_sign(row["signed_quantity"]) for row in found)
        assert sum(row["gross_realized_pnl"] for row in found) - cost == -paid


streams = given(
    drawn=st.lists(orders(), min_size=1, max_size=25, unique_by=lambda order: order.id),
    seed=st.integers(0, 10**6),
    batches=st.integers(1, 4),
)
# A shrinking example takes seconds a step: the few that are tried say enough.
common: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "database": None,
}


@pytest.mark.timeout(300)
@settings(max_examples=8, derandomize=True, **common)
@streams
def test_streams_end_in_the_books_ledger(source: Source, drawn: list[Stream], seed: int, batches: int) -> None:
    check(source, drawn, seed, batches)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=200, **common)
@streams
def test_many_streams_end_in_the_books_ledger(source: Source, drawn: list[Stream], seed: int, batches: int) -> None:
    check(source, drawn, seed, batches)


@pytest.mark.timeout(300)
def test_the_ledger_of_all_streams_equals_its_clean_rebuild(source: Source) -> None:
    grown = source.ledger()
    assert len(grown) > 20
    source.rebuild()
    assert source.ledger() == grown


@pytest.mark.timeout(300)
def test_a_mass_update_of_every_row_changes_no_number(source: Source) -> None:
    grown = source.ledger()
    with source.lab.connect() as connection:
        connection.execute("update executions set updated_at = now(), client_order_id = client_order_id || '-again'")
    source.tick()
    assert source.ledger() == grown
