"""Repairs: refreshable views that stand still while their tables are changed from outside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestration.errors import UserError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_SECONDS = 120.0
_POLL_SECONDS = 0.1


@contextmanager
def paused(client: Client, views: Sequence[str]) -> Iterator[None]:
    """Stop views, wait for the end of what they do, and start them behind it, also after a failure.

    Raises:
        UserError: one of them does not come to its end.
    """
    try:
        for view in views:
            client.command(f"system stop view quant.{view}")
        deadline = time.monotonic() + _SECONDS
        while running := client.query(
            "select view from system.view_refreshes"
            " where database = 'quant' and view in {views:Array(String)} and status = 'Running'",
            parameters={"views": list(views)},
        ).result_rows:
            if time.monotonic() > deadline:
                raise UserError(f"{running[0][0]} did not end within {_SECONDS:.0f} s.", "Try again later.")
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        for view in views:
            client.command(f"system start view quant.{view}")
