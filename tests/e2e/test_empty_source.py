"""`up` where there is nothing to compute: a Postgres without trades, which comes to life with the first ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import tab
from tests.e2e.running import QUANT, RunningUp
from tests.template import copy_of_built_warehouse
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    state = tmp_path_factory.mktemp("empty") / "state"
    copy_of_built_warehouse(tmp_path_factory, state)
    running = RunningUp(state, arguments=("--no-desk", "--no-dagster"), pace={})
    running.start()
    try:
        running.wait_until_up()
        yield running
    finally:
        running.stop()


def test_an_empty_source_is_up_and_says_so(empty: RunningUp) -> None:
    assert "no trades in the source yet" in empty.text()
    assert empty.get("/readyz") == (200, {"ok": True, "has_facts": False, "frame_age_seconds": None})
    status, body = empty.get(f"{QUANT}/snapshot")
    assert (status, body["message"]) == (503, "No frame has been computed yet.")


@pytest.mark.parametrize("view", ["scoreboard", "execution", "exposure", "health", "metric&metric=net_pnl"])
def test_the_dashboards_say_so_too(empty: RunningUp, browser: Browser, view: str) -> None:
    url = f"http://127.0.0.1:{empty.ports['JANGAR_QUANT_API_PORT']}"
    with tab(browser, url, f"?view={view}") as shown:
        shown.wait_for(".notice strong", "No frame")
        # Nothing that will not come is waited for.
        shown.wait(lambda: "Loading" not in shown.page.locator("main").inner_text(), "an answer in every panel")


def test_the_first_trades_bring_the_first_frame(empty: RunningUp, tmp_path: Path) -> None:
    fills = tmp_path / "fills.csv"
    fills.write_text("date,symbol,qty,price\n2024-02-01,AAA,10,50\n2024-02-02,AAA,-4,55\n")
    empty.cli("load", "--fills", str(fills), "--account", "first", "--strategy", "first")

    def is_live() -> bool:
        status, body = empty.get("/readyz")
        return status == 200 and body["has_facts"]

    wait_for(is_live, 30, "a frame of the loaded trades")
    assert empty.snapshot(account="first", window="1h")["trade_count"]["status"] == "ok"
