"""Waiting for a condition instead of sleeping: the only way that tests synchronise with running services."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def wait_for(condition: Callable[[], Result], timeout: float, what: str, interval: float = 0.05) -> Result:
    """Call `condition` until it returns something true, and return that.

    An exception of the condition counts as "not yet"; the last one is shown when `timeout` seconds have passed.

    Raises:
        TimeoutError: names `what` was awaited.
    """
    deadline = time.monotonic() + timeout
    last: Exception | None = None
    while True:
        try:
            result = condition()
            if result:
                return result
            last = None
        except Exception as error:
            last = error
        if time.monotonic() >= deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s") from last
        time.sleep(interval)
