"""The API's only way to data: queries on the `api_*` views of the warehouse, most of them named in `queries/`."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError
from clickhouse_connect.driver.query import QueryResult

from api.errors import WarehouseUnavailable
from orchestration.alerts.actions import COLUMNS, DATABASE, TABLE, Action
from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.warehouse.client import connect_async

QUERIES = Path(__file__).parent / "queries"
# A dashboard that waited longer than this has asked again.
QUERY_SECONDS = 10
# What somebody waits for goes before what is refreshed anyway: the tiers can keep all cores busy, and beside them one
# of twenty summaries took 398 ms, with this 205. A nice value of Linux; without the capability CAP_SYS_NICE the engine
# leaves it out.
FIRST = {"os_thread_priority": -10}


@cache
def query_text(name: str) -> str:
    """The SQL of `queries/<name>.sql`."""
    return (QUERIES / f"{name}.sql").read_text()


class Warehouse:
    """Connections to the warehouse, made on first use: one as the read-only user, one for what it writes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: AsyncClient | None = None
        self._writer: AsyncClient | None = None
        self._connecting = asyncio.Lock()
        self._query_settings: dict[str, Any] = {}

    async def rows(
        self, name: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Run a named query; returns and raises as `query` does."""
        return await self.query(query_text(name), parameters, settings)

    async def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Run a query.

        Returns:
            One dictionary per row, by column name.

        Raises:
            WarehouseUnavailable: the warehouse cannot be reached, or the query failed there.
        """
        return list((await self._result(sql, parameters, settings or {})).named_results())

    async def _result(self, sql: str, parameters: Mapping[str, Any] | None, settings: Mapping[str, Any]) -> QueryResult:
        try:
            client = await self._connected()
            return await client.query(
                sql,
                parameters=dict(parameters or {}),
                settings={**self._query_settings, **settings},
            )
        except (TimeoutError, UserError, ClickHouseError, OSError) as error:
            raise WarehouseUnavailable(str(error)) from error

    async def columns(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[Sequence[Any]]:
        """Run a query; returns its columns, and raises as `query` does."""
        return list((await self._result(sql, parameters, {})).result_columns)

    async def raw(self, sql: str, parameters: Mapping[str, Any], output_format: str) -> bytes:
        """Run a query; returns its rows in a format of the warehouse, and raises as `query` does."""
        try:
            client = await self._connected()
            found = await client.raw_query(
                sql,
                parameters=dict(parameters),
                fmt=output_format,
                settings={**self._query_settings, "date_time_output_format": "iso"},
            )
        except (TimeoutError, UserError, ClickHouseError, OSError) as error:
            raise WarehouseUnavailable(str(error)) from error
        return bytes(found)

    async def write(self, action: Action) -> None:
        """Store what an operator did; raises as `query` does."""
        await self.insert(TABLE, COLUMNS, action.row)

    async def insert(self, table: str, columns: Sequence[str], row: Sequence[object]) -> None:
        """Store a row; raises as `query` does."""
        try:
            async with self._connecting:
                if self._writer is None:
                    self._writer = await connect_async(self._settings)
            await self._writer.insert(table, [row], column_names=list(columns), database=DATABASE)
        except (TimeoutError, UserError, ClickHouseError, OSError) as error:
            raise WarehouseUnavailable(str(error)) from error

    async def close(self) -> None:
        """Close the connections."""
        for client in (self._client, self._writer):
            if client is not None:
                await client.close()

    async def _connected(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                client = await connect_async(self._settings, is_reader=True)
                self._query_settings = {"max_execution_time": QUERY_SECONDS, **await _priority(client)}
                self._client = client
            return self._client


async def _priority(client: AsyncClient) -> dict[str, Any]:
    """`FIRST`, unless the server refuses it, as one in a container that may not do what it thinks it may."""
    try:
        await client.query("select 1", settings=FIRST)
    except DatabaseError:
        return {}
    return FIRST
