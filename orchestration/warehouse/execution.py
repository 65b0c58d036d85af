"""Running one request on the engine, from the handle to the counters: the blocking half, called in a worker thread."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from orchestration.warehouse.access import Role, check_reader, confine, refuse_setting
from orchestration.warehouse.engine import Engine, Handle, Result
from orchestration.warehouse.pipes import Pipe
from orchestration.warehouse.request import Request, check_setting_names
from orchestration.warehouse.running import RunningQuery, translate_ids
from orchestration.warehouse.sessions import Session
from orchestration.warehouse.sql import InsertQuery, first_word, quote, quote_identifier, split_format, tokens
from orchestration.warehouse.status import (
    ACCESS_DENIED,
    INTO_OUTFILE_NOT_ALLOWED,
    QUERY_WAS_CANCELLED,
    READONLY,
    SYNTAX_ERROR,
    UNKNOWN_FORMAT,
    UNKNOWN_TYPE_OF_QUERY,
    QueryError,
    server_error,
)

_FORMAT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*\Z")

# Statements whose result may be large: the engine writes it to the pipe itself. All others return a few rows.
_STREAMED = ("SELECT", "WITH", "FROM")

# Fast levels, as a server uses for HTTP: the engine's own default for LZ4 files is six times slower.
_LEVELS = {"lz4": 1, "zstd": 1, "gzip": 3, "deflate": 3, "br": 1}


@dataclass
class Job:
    """One request as the worker needs it. `output_format` and `encoding` are final once the first byte has arrived."""

    request: Request
    role: Role
    running: RunningQuery
    pipe: Pipe
    sql: str = ""
    insert: InsertQuery | None = None
    session: Session | None = None
    encoding: str | None = None
    output_format: str = "TabSeparated"
    has_output: bool = field(default=False)


def execute(engine: Engine, job: Job) -> Result:
    """Run the job's statement to its end and return its result; rows of a query go through the job's pipe.

    Raises:
        QueryError: as a ClickHouse server would report it.
    """
    handle: Handle | None = None
    try:
        handle = _open(engine, job)
        with _configured(handle, job):
            if job.running.cancelled:
                raise server_error(QUERY_WAS_CANCELLED, "Query was cancelled.")
            if job.insert is not None:
                return _insert(handle, job, job.insert)
            return _statement(handle, job)
    finally:
        job.pipe.close_far()
        if handle is not None and job.session is None:
            handle.close()


def _open(engine: Engine, job: Job) -> Handle:
    """Return the session's handle, or a fresh one. A reader's is confined before anything else can hold it."""
    if job.role is Role.READER:
        refuse_setting(job.request)
        if job.request.external:
            raise server_error(ACCESS_DENIED, "The read-only user may not send external tables.")
    if job.session is not None and job.session.handle is not None:
        if job.role is Role.READER:
            job.running.tag = job.session.tag
        return job.session.handle
    handle = engine.handle()
    if job.role is Role.READER:
        if job.session is not None:
            job.running.tag = job.session.tag
        try:
            confine(handle, job.running.tag)
        except QueryError:
            handle.close()
            raise
    if job.session is not None:
        job.session.handle = handle
    return handle


@contextmanager
def _configured(handle: Handle, job: Job) -> Iterator[None]:
    """Give the handle the request's database, settings and parameters; a session's handle gets its own back after."""
    request = job.request
    check_setting_names(request)
    for table in request.external:
        _load_external(handle, table.name, table.structure, table.format, table.data)
    settings = dict(request.settings)
    readonly = settings.pop("readonly", None)
    database, previous = "", {}
    if job.session is not None:
        if request.database:
            database = handle.run("SELECT currentDatabase() FORMAT TSVRaw").data.decode().rstrip("\n")
        previous = _values(handle, settings)
    if request.database:
        handle.run(f"USE {quote_identifier(request.database)}")
    assignments = [f"{name} = {quote(value)}" for name, value in settings.items()]
    assignments += [f"param_{name} = {quote(value)}" for name, value in request.parameters.items()]
    if job.role is not Role.READER:
        assignments.append(f"log_comment = {quote(job.running.tag)}")
    if assignments:
        handle.run("SET " + ", ".join(assignments))
    if readonly is not None and job.session is None:
        handle.run(f"SET readonly = {quote(readonly)}")
    try:
        yield
    finally:
        if job.session is not None:
            with suppress(QueryError):
                if database and first_word(job.sql) != "USE":
                    handle.run(f"USE {quote_identifier(database)}")
                if previous and first_word(job.sql) != "SET":
                    handle.run("SET " + ", ".join(f"{name} = {value}" for name, value in previous.items()))
            for table in request.external:
                with suppress(QueryError):
                    handle.run(f"DROP TEMPORARY TABLE IF EXISTS {quote_identifier(table.name)}")


def _values(handle: Handle, settings: dict[str, str]) -> dict[str, str]:
    """Return what each setting must be SET to in order to be as it is now."""
    if not settings:
        return {}
    names = ", ".join(quote(name) for name in settings)
    listing = handle.run(f"SELECT name, changed, value FROM system.settings WHERE name IN ({names}) FORMAT TSV").data
    values = {}
    for line in listing.decode().splitlines():
        name, changed, value = line.split("\t", 2)
        # TSV escapes as a string literal does.
        values[name] = f"'{value}'" if changed == "1" else "DEFAULT"
    return values


def _load_external(handle: Handle, name: str, structure: str, table_format: str, data: bytes) -> None:
    _check_format(table_format)
    handle.run(f"CREATE TEMPORARY TABLE {quote_identifier(name)} ({structure})")
    if not data:
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        source = f"FROM INFILE {quote(file.name)} COMPRESSION 'none'"
        handle.run(f"INSERT INTO {quote_identifier(name)} {source} FORMAT {table_format}")


def _insert(handle: Handle, job: Job, insert: InsertQuery) -> Result:
    """Insert the rows that arrive through the pipe.

    Not with the engine's streaming inserter: measured on 26.9, it reports success when a constraint, a view, a time
    limit or a cancellation has made the engine drop the rows.
    """
    if job.role is Role.READER:
        raise server_error(ACCESS_DENIED, "The read-only user may only query.")
    _refuse_by_get(job)
    _check_format(insert.format)
    source = f"FROM INFILE '{job.pipe.engine_path}' COMPRESSION 'none'"
    return handle.run(f"{insert.target}\n{source} {insert.settings}\nFORMAT {insert.format}")


def _statement(handle: Handle, job: Job) -> Result:
    sql = job.sql
    _refuse_files(sql)
    kind, count = handle.classify(sql)
    if count > 1 or (kind == "UNKNOWN" and _holds_several(sql)):
        raise server_error(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    if job.role is Role.READER:
        check_reader(handle, sql, job.request.parameters)
    word = first_word(sql)
    if kind not in ("READ_ONLY", "UNKNOWN") and word not in ("SET", "USE"):
        _refuse_by_get(job)
    sql = translate_ids(handle, sql)
    read = split_format(sql)
    job.output_format = read.format or job.request.default_format
    _check_format(job.output_format)
    if kind == "READ_ONLY" and word in _STREAMED:
        job.has_output = True
        compression = f" COMPRESSION '{job.encoding}' LEVEL {_LEVELS[job.encoding]}" if job.encoding else ""
        target = f"INTO OUTFILE '{job.pipe.engine_path}' TRUNCATE{compression}"
        return handle.run(f"{read.head}\n{target}\nFORMAT {job.output_format} {read.tail}")
    job.encoding = None
    result = handle.run(sql, job.output_format)
    job.has_output = bool(result.data)
    return result


def _refuse_by_get(job: Job) -> None:
    if job.request.method in ("GET", "HEAD"):
        raise server_error(
            READONLY,
            "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. "
            "You should use method POST for modifying queries.",
        )


def _refuse_files(sql: str) -> None:
    """Refuse the clauses that make a client read or write its own files: the engine here would use the server's."""
    lowered = sql.lower()
    if "outfile" not in lowered and "infile" not in lowered:
        return
    previous = ""
    for token in tokens(sql):
        if previous == "INTO" and token.word == "OUTFILE":
            raise server_error(INTO_OUTFILE_NOT_ALLOWED, "INTO OUTFILE is not allowed")
        if previous == "FROM" and token.word == "INFILE":
            raise server_error(UNKNOWN_TYPE_OF_QUERY, "Query has infile and was send directly to server")
        previous = token.word


def _holds_several(sql: str) -> bool:
    found = list(tokens(sql))
    while found and found[-1].text == ";":
        found.pop()
    return any(token.text == ";" for token in found)


def _check_format(name: str) -> None:
    if not _FORMAT_NAME.match(name):
        raise server_error(UNKNOWN_FORMAT, f"Unknown format {name[:60]}.")
