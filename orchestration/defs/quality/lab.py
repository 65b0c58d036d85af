"""What gates look at: the warehouse, the source, and rollups beside, opened when the first gate asks for them."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestration.gates.freshness import Age, ages
from orchestration.repair.rollups import forget, recompute
from orchestration.settings import Settings
from orchestration.source.connection import connect as connect_source
from orchestration.warehouse.client import connect

if TYPE_CHECKING:
    import psycopg
    from clickhouse_connect.driver.client import Client


class Lab:
    """Connections of one evaluation; `days` is how far back it looks (0: everything), `moments` how many frames."""

    def __init__(self, settings: Settings, *, days: int = 0, moments: int = 1) -> None:
        self.settings = settings
        self.days = days
        self.moments = moments
        self.client: Client = connect(settings)
        self._source: psycopg.Connection | None = None
        self._stack = ExitStack()
        self._has_rollups = False

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()
        self.client.close()

    @property
    def source(self) -> psycopg.Connection:
        """A session on the source, which only reads."""
        if self._source is None:
            self._source = self._stack.enter_context(
                connect_source(self.settings, application_name="jangar-quant dagster")
            )
            self._source.execute("set default_transaction_read_only = on")
        return self._source

    @cached_property
    def ages(self) -> dict[str, Age]:
        """How late each stage of the pipeline is, as of when it was first asked for."""
        return ages(self.client)

    def rollups_beside(self) -> None:
        """Have the rollups computed from the beginning, once."""
        if not self._has_rollups:
            self._stack.callback(forget, self.client)
            forget(self.client)
            recompute(self.client)
            self._has_rollups = True
