"""One run of `jangar-quant up` for the whole folder: starting it costs half a minute, and it keeps a core busy."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import chromium
from tests.e2e.running import RunningUp


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a run of their own come first, while this one is not there: two at a time keep two cores busy."""
    places = [place for place, item in enumerate(items) if item.path.is_relative_to(Path(__file__).parent)]
    inside = sorted((items[place] for place in places), key=lambda item: "up" in getattr(item, "fixturenames", ()))
    for place, item in zip(places, inside, strict=True):
        items[place] = item


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUp]:
    """Everything running, with three days of desk history."""
    running = RunningUp(tmp_path_factory.mktemp("up") / "state")
    running.start()
    try:
        running.wait_until_up()
        # Else a past moment may still gain what happened before it, and every test waits for the engine.
        running.wait_until_history_is_in()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a file; skips them where there is none."""
    with chromium() as started:
        yield started
