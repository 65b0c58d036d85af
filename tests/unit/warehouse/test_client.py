"""Reading the warehouse's URL, and errors that tell what to do."""

import asyncio

import pytest

from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.warehouse.client import connect, connect_async, endpoint, parse_url
from tests.ports import free_port


def test_url_with_everything() -> None:
    target = parse_url("https://u%40x:p%2Fw@ch.example/prefix/?database=d%20b", user="other", password="other")
    assert (target.host, target.port, target.secure, target.path) == ("ch.example", 8443, True, "/prefix")
    assert (target.user, target.password, target.database) == ("u@x", "p/w", "d b")
    assert target.address == "https://ch.example:8443/prefix"
    assert "p/w" not in repr(target)


def test_settings_fill_what_the_url_leaves_out() -> None:
    settings = Settings(CLICKHOUSE_URL="http://[::1]:9000", CLICKHOUSE_USER="u", CLICKHOUSE_PASSWORD="p")  # type: ignore[call-arg]
    target = endpoint(settings)
    assert (target.user, target.password, target.database) == ("u", "p", "default")
    assert target.address == "http://[::1]:9000"


@pytest.mark.parametrize("url", ["ftp://h", "h:8123", "http://", "http://h:port", "http://h:99999"])
def test_bad_urls_are_told_without_repeating_them(url: str) -> None:
    with pytest.raises(UserError) as told:
        parse_url(url, user="u", password="p")
    assert "CLICKHOUSE_URL" in told.value.remedy


def test_an_unreachable_server_is_told_without_the_password() -> None:
    port = free_port()
    settings = Settings(CLICKHOUSE_URL=f"http://u:hidden@127.0.0.1:{port}")  # type: ignore[call-arg]
    for attempt in (lambda: connect(settings), lambda: asyncio.run(connect_async(settings))):
        with pytest.raises(UserError, match=f"127.0.0.1:{port} does not answer") as told:
            attempt()
        assert "hidden" not in str(told.value)
