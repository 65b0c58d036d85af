"""One run of `jangar-quant up` for the whole folder: starting it costs half a minute, and it keeps a core busy."""

from collections.abc import Iterator

import pytest

from tests.e2e.running import RunningUp


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
