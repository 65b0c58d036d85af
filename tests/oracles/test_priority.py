"""Queries of the API go before refreshes, where the engine may let them."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from clickhouse_connect.driver.client import Client

import api.warehouse
from api.warehouse import Warehouse
from orchestration.settings import Settings
from orchestration.supervise.niceness import DAGSTER, WAREHOUSE
from tests.waiting import wait_for

_STATUS = Path("/proc/self/status")
_CAP_SYS_NICE = 1 << 23
# In /proc/<pid>/task/<tid>/stat, behind the name in parentheses.
_NICE_FIELD = 16


def _may_go_first() -> bool:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines()) if _STATUS.exists() else {}
    return bool(int(lines.get("CapEff", "0"), 16) & _CAP_SYS_NICE)


def _ask(settings: Settings, sql: str) -> list[dict[str, Any]]:
    async def ask() -> list[dict[str, Any]]:
        warehouse = Warehouse(settings)
        try:
            return await warehouse.query(sql)
        finally:
            await warehouse.close()

    return asyncio.run(ask())


def _listens(port: int) -> int:
    """The process that listens on a port."""
    for one in psutil.net_connections("tcp"):
        if one.status == "LISTEN" and one.laddr.port == port and one.pid is not None:
            return one.pid
    raise AssertionError(port)


def _niceness(port: int) -> set[int]:
    """Nice values of the threads of the process that listens on a port."""
    found = set()
    for task in Path(f"/proc/{_listens(port)}/task").iterdir():
        try:
            found.add(int((task / "stat").read_text().rpartition(")")[2].split()[_NICE_FIELD]))
        except FileNotFoundError:
            # The thread has ended.
            continue
    return found


def test_the_warehouse_stands_behind_what_answers(warehouse_settings: Settings) -> None:
    # Who started the tests may stand behind others, too.
    expected = min(19, psutil.Process().nice() + WAREHOUSE)
    assert psutil.Process(_listens(warehouse_settings.warehouse_port)).nice() == expected
    assert 0 < WAREHOUSE < DAGSTER


@pytest.mark.skipif(not _may_go_first(), reason="needs Linux and the capability CAP_SYS_NICE")
def test_a_query_goes_before_what_is_refreshed(
    warehouse_settings: Settings, built: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(setting, usual)] = api.warehouse.FIRST.items()
    # One that no API of other tests asks with.
    port, nice = warehouse_settings.warehouse_port, usual + 1
    monkeypatch.setattr(api.warehouse, "FIRST", {setting: nice})
    assert nice < 0
    assert nice not in _niceness(port)
    asking = threading.Thread(target=_ask, args=(warehouse_settings, "select sleep(3)"))
    asking.start()
    wait_for(lambda: nice in _niceness(port), 3, "a thread that goes first")
    asking.join()
    wait_for(lambda: nice not in _niceness(port), 10, "the thread as it was")


def test_a_server_that_refuses_it_is_asked_without(
    warehouse_settings: Settings, built: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.warehouse, "FIRST", {"join_algorithm": "none of them"})
    assert _ask(warehouse_settings, "select 1 as one") == [{"one": 1}]
