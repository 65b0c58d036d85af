"""The requests of docs/api.md, as they stand there."""

import re
import shlex
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.running import RunningUp

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
COMMANDS = re.findall(r"^    (curl .*)$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda text: text.rpartition("/")[2].partition("?")[0].strip("'"))
def test_a_request_of_the_documentation_is_answered(up: RunningUp, command: str) -> None:
    words = shlex.split(command)
    url = words[-1].replace("http://127.0.0.1:8080", f"http://127.0.0.1:{up.ports['JANGAR_QUANT_API_PORT']}")
    accept = next((word for word in words if word.startswith("Accept: ")), "Accept: */*").removeprefix("Accept: ")
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=60) as answer:
        assert answer.status == 200
        if "/stream?" in url:
            beginning = b"".join(answer.readline() for _ in range(4))
            assert b"event: quant.metrics.snapshot" in beginning
        elif accept == "text/csv":
            assert answer.read().startswith(b'"time","net_pnl"')
        else:
            assert answer.read().startswith(b'{"ok":true')
