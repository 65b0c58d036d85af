"""Queries that run now: unique ids, cancelling, and the ids that clients chose in KILL QUERY and system.processes.

The engine numbers queries itself. The client's id travels in the setting `log_comment`, which system.processes shows.
"""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from orchestration.warehouse.engine import Engine, Handle
from orchestration.warehouse.sql import quote, tokens, unquote
from orchestration.warehouse.status import QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, QueryError, server_error

# A query may be cancelled before the engine lists it, so the kill repeats until the query has ended.
_KILL_INTERVAL_S = 0.05

# What a client looks for: its own id, and its statement without the pipe that the server has put into it.
_PIPE_CLAUSE = (
    r"\\n(INTO OUTFILE \'/dev/fd/\\d+\' TRUNCATE|FROM INFILE \'/dev/fd/\\d+\')( COMPRESSION \'\\w+\'( LEVEL \\d+)?)?"
)
_CLIENT_ID = "if(Settings['log_comment'] != '', Settings['log_comment'], {name}) AS {name}"
_PROCESSES = (
    f"(SELECT * REPLACE ({_CLIENT_ID.format(name='query_id')}, {_CLIENT_ID.format(name='initial_query_id')}, "
    f"trimRight(replaceRegexpOne(query, '{_PIPE_CLAUSE}', '')) AS query) FROM system.processes)"
)


@dataclass(eq=False)
class RunningQuery:
    """One query between its start and its end; `cancelled` is set before the engine is told.

    `tag` is its `log_comment`: the client's id, save in the reader's sessions, whose tag cannot change.
    """

    query_id: str
    tag: str
    cancelled: bool = False
    finished: asyncio.Event = field(default_factory=asyncio.Event)


class RunningQueries:
    """Registry of the running queries; methods that change it run on the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queries: dict[str, RunningQuery] = {}
        # Killing must work while every worker thread is busy.
        self._killers = ThreadPoolExecutor(2, thread_name_prefix="kill")

    def __len__(self) -> int:
        return len(self._queries)

    async def add(self, query_id: str, replace: bool, patience_s: float) -> RunningQuery:
        """Register a query.

        Raises:
            QueryError: QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, unless `replace` ends that one within `patience_s`.
        """
        other = self._queries.get(query_id)
        if other is not None and replace:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.cancel(other), patience_s)
            other = self._queries.get(query_id)
        if other is not None:
            raise server_error(
                QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING, f"Query with id = {query_id[:100]} is already running."
            )
        query = self._queries[query_id] = RunningQuery(query_id, query_id)
        return query

    def remove(self, query: RunningQuery) -> None:
        """Forget a query that has ended."""
        query.finished.set()
        self._queries.pop(query.query_id, None)

    async def cancel(self, query: RunningQuery) -> None:
        """Cancel a query and return when it has ended."""
        query.cancelled = True
        while not query.finished.is_set():
            await self.tell(query)
            try:
                await asyncio.wait_for(query.finished.wait(), _KILL_INTERVAL_S)
            except TimeoutError:
                continue

    async def tell(self, query: RunningQuery) -> bool:
        """Tell the engine to cancel a query; returns whether it knew the query."""
        return await asyncio.get_running_loop().run_in_executor(self._killers, self._kill, query.tag)

    async def cancel_all(self) -> None:
        """Cancel every running query and return when all have ended."""
        await asyncio.gather(*(self.cancel(query) for query in list(self._queries.values())))

    def close(self) -> None:
        """Stop the threads that kill."""
        self._killers.shutdown()

    def _kill(self, tag: str) -> bool:
        handle = self._engine.handle()
        try:
            result = handle.run(f"KILL QUERY WHERE Settings['log_comment'] = {quote(tag)} ASYNC")
            return bool(result.data)
        except QueryError:
            return False
        finally:
            handle.close()


def translate_ids(handle: Handle, sql: str) -> str:
    """Let a statement about processes use the clients' ids.

    In KILL QUERY the literals that are ids of running queries become the engine's ids; elsewhere `system.processes`
    becomes a query over it that shows the clients' ids.
    """
    lowered = sql.lower()
    if "kill" in lowered:
        found = list(tokens(sql))
        if len(found) > 1 and found[0].word == "KILL" and found[1].word == "QUERY":
            return _translate_kill(handle, sql)
    if "processes" in lowered:
        return _translate_processes(sql)
    return sql


def _translate_kill(handle: Handle, sql: str) -> str:
    listing = handle.run("SELECT query_id, Settings['log_comment'] FROM system.processes FORMAT TSVRaw").data
    ids = {client: own for own, _, client in (line.partition("\t") for line in listing.decode().splitlines())}
    pieces, end = [], 0
    for token in tokens(sql):
        if token.kind == "string" and (own := ids.get(unquote(token.text))):
            pieces += [sql[end : token.start], quote(own)]
            end = token.end
        elif token.word == "SYNC":
            # A statement that waits for a client to finish its upload would hold a worker thread for as long.
            pieces += [sql[end : token.start], "ASYNC"]
            end = token.end
    return "".join([*pieces, sql[end:]])


def _translate_processes(sql: str) -> str:
    found = list(tokens(sql))
    pieces, end = [], 0
    for index in range(len(found) - 2):
        schema, dot, table = found[index : index + 3]
        follower = found[index + 3].text if index + 3 < len(found) else ""
        leader = found[index - 1].word if index else ""
        if (
            schema.text.strip('`"').lower() == "system"
            and dot.text == "."
            and table.text.strip('`"').lower() == "processes"
            and follower != "."
            and leader in ("FROM", "JOIN")
        ):
            pieces += [sql[end : schema.start], _PROCESSES]
            end = table.end
    return "".join([*pieces, sql[end:]])
