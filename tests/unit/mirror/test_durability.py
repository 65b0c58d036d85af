"""When the source may forget: after a sync, late where syncing is not allowed, and never after a failure."""

from types import SimpleNamespace

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from orchestration.mirror import durability
from orchestration.mirror.durability import Durability
from tests.waiting import wait_for

ACCESS_DENIED = 497


class Warehouse:
    """Stands for the mirror's target: syncs, or raises what a warehouse raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.syncs = 0

    def sync(self) -> None:
        """Count, or fail."""
        self.syncs += 1
        if self.error is not None:
            raise self.error


def watched(warehouse: Warehouse) -> tuple[Durability, list[int], list[BaseException]]:
    """A durability thread over `warehouse`, what it acknowledged, and what it failed with."""
    acknowledged: list[int] = []
    failures: list[BaseException] = []
    return Durability(warehouse, acknowledged.append, failures.append), acknowledged, failures  # type: ignore[arg-type]


def refusal(code: int | None) -> DatabaseError:
    """An error of the warehouse, as the client raises it."""
    error = DatabaseError("not allowed")
    error.code = code
    return error


def test_only_what_was_written_before_a_sync_is_acknowledged() -> None:
    warehouse = Warehouse()
    thread, acknowledged, failures = watched(warehouse)
    thread.written(10)
    assert acknowledged == []
    thread.written(20, urgent=True)
    wait_for(lambda: acknowledged == [20], 5, "the newest position is acknowledged")
    thread.written(20, urgent=True)
    thread.close()
    assert (acknowledged, failures, warehouse.syncs) == ([20], [], 1)


def test_closing_makes_durable_what_is_written() -> None:
    thread, acknowledged, _ = watched(Warehouse())
    thread.written(30)
    thread.close()
    assert acknowledged == [30]


def test_a_warehouse_that_does_not_answer_ends_the_session_without_acknowledgement() -> None:
    thread, acknowledged, failures = watched(Warehouse(refusal(None)))
    thread.written(10, urgent=True)
    wait_for(lambda: failures, 5, "the failure is reported")
    thread.written(20, urgent=True)
    thread.close()
    assert acknowledged == []


def test_where_syncing_is_not_allowed_acknowledgement_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(durability, "time", SimpleNamespace(monotonic=lambda: now))
    warehouse = Warehouse(refusal(ACCESS_DENIED))
    thread, acknowledged, failures = watched(warehouse)
    thread._step()
    thread._written = 10
    thread._step()
    assert acknowledged == []
    now += 59
    thread._written = 20
    thread._step()
    assert acknowledged == []
    now += 1
    thread._written = 21
    thread._step()
    assert acknowledged == [10]
    now += 59
    thread._written = 22
    thread._step()
    assert acknowledged == [10, 20]
    thread.close()
    # It is asked once.
    assert (failures, warehouse.syncs) == ([], 1)
