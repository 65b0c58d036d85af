"""What a request to ClickHouse's HTTP interface asks for: parameters, headers and multipart forms, parsed once."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from orchestration.warehouse.status import BAD_ARGUMENTS, INVALID_SESSION_TIMEOUT, UNKNOWN_SETTING, server_error

# Parameters of the protocol itself, and settings that only mean something to a server's own HTTP handler.
_PROTOCOL = frozenset(
    (
        "query",
        "database",
        "default_format",
        "user",
        "password",
        "quota_key",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "compress",
        "decompress",
        "buffer_size",
        "wait_end_of_query",
        "http_wait_end_of_query",
        "enable_http_compression",
        "http_response_buffer_size",
        "http_zlib_compression_level",
        "client_protocol_version",
        "stacktrace",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "add_http_cors_header",
        "cancel_http_readonly_queries_on_client_close",
        "http_write_exception_in_output_format",
        "replace_running_query",
    )
)
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*\Z")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_DEFAULT_SESSION_TIMEOUT = 60
_MAX_SESSION_TIMEOUT = 3600


@dataclass
class ExternalTable:
    """A table that comes with the query as a part of a multipart form."""

    name: str
    data: bytes
    format: str = "TabSeparated"
    structure: str = ""


@dataclass
class Request:
    """One query over HTTP. `settings` and `parameters` hold text exactly as sent; passwords are not in `repr`."""

    method: str
    query: str = ""
    database: str = ""
    default_format: str = "TabSeparated"
    format_given: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    credentials_given: bool = False
    query_id: str = ""
    replace_running: bool = False
    session_id: str = ""
    session_timeout: int = _DEFAULT_SESSION_TIMEOUT
    session_check: bool = False
    wait_end: bool = False
    accept_encoding: str = ""
    content_encoding: str = ""
    content_type: str = ""
    native_compress: bool = False
    native_decompress: bool = False
    settings: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    external: list[ExternalTable] = field(default_factory=list)
    _raw: dict[str, str] = field(default_factory=dict, repr=False)


def parse_request(method: str, query_string: bytes, headers: dict[bytes, bytes]) -> Request:
    """Read the URL's parameters and the headers (names in lower case) of a query.

    Raises:
        QueryError: a parameter is malformed.
    """
    raw = dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, encoding="utf-8", errors="replace"))
    request = Request(method=method)
    request.content_encoding = _header(headers, b"content-encoding")
    request.content_type = _header(headers, b"content-type")
    request.database = _header(headers, b"x-clickhouse-database")
    if header_format := _header(headers, b"x-clickhouse-format"):
        request.default_format, request.format_given = header_format, True
    _apply(request, raw)
    _read_credentials(request, raw, headers)
    if _flag(raw, "enable_http_compression"):
        request.accept_encoding = _header(headers, b"accept-encoding")
    return request


def add_form(request: Request, body: bytes) -> None:
    """Add the fields of a multipart form: the query, its parameters and settings, and external tables.

    Raises:
        QueryError: the form is malformed, or a table comes without its structure.
    """
    fields: dict[str, str] = {}
    files: list[tuple[str, bytes]] = []
    for name, is_file, data in _parts(request.content_type, body):
        if is_file:
            files.append((name, data))
        else:
            fields[name] = data.decode("utf-8", errors="replace")
    merged = {**request._raw, **fields}
    for name, data in files:
        structure = merged.pop(f"{name}_structure", "")
        types = merged.pop(f"{name}_types", "")
        table_format = merged.pop(f"{name}_format", "TabSeparated")
        for suffix in ("structure", "types", "format"):
            request.settings.pop(f"{name}_{suffix}", None)
        if not structure and types:
            structure = ", ".join(f"_{index} {kind}" for index, kind in enumerate(_split_types(types), start=1))
        if not _IDENTIFIER.match(name) or not structure:
            raise server_error(BAD_ARGUMENTS, f"External table {name[:60]!r} needs a plain name and a structure.")
        request.external.append(ExternalTable(name, data, table_format, structure))
    _apply(request, {name: value for name, value in fields.items() if name in merged})


def is_form(request: Request) -> bool:
    """Whether the body is a multipart form."""
    return request.content_type.lower().startswith("multipart/form-data")


def check_setting_names(request: Request) -> None:
    """Refuse names that cannot be settings; the engine judges the others."""
    for name in request.settings:
        if not _SETTING_NAME.match(name):
            raise server_error(
                UNKNOWN_SETTING,
                f"Setting {name[:60]} is neither a builtin setting nor started with "
                "the prefix 'SQL_' registered for user-defined settings",
            )


def _apply(request: Request, raw: dict[str, str]) -> None:
    request._raw.update(raw)
    request.query = raw.get("query", request.query)
    request.database = raw.get("database") or request.database
    if raw.get("default_format"):
        request.default_format, request.format_given = raw["default_format"], True
    request.query_id = raw.get("query_id", request.query_id)
    request.replace_running = _flag(raw, "replace_running_query") or request.replace_running
    request.session_id = raw.get("session_id", request.session_id)
    request.session_check = _flag(raw, "session_check") or request.session_check
    if "session_timeout" in raw:
        request.session_timeout = _session_timeout(raw["session_timeout"])
    request.wait_end = _flag(raw, "wait_end_of_query") or _flag(raw, "http_wait_end_of_query") or request.wait_end
    request.native_compress = _flag(raw, "compress") or request.native_compress
    request.native_decompress = _flag(raw, "decompress") or request.native_decompress
    for name, value in raw.items():
        if name.startswith("param_") and _IDENTIFIER.match(name):
            request.parameters[name[len("param_") :]] = value
        elif name not in _PROTOCOL:
            request.settings[name] = value


def _read_credentials(request: Request, raw: dict[str, str], headers: dict[bytes, bytes]) -> None:
    authorization = _header(headers, b"authorization")
    if b"x-clickhouse-user" in headers or b"x-clickhouse-key" in headers:
        request.user = _header(headers, b"x-clickhouse-user")
        request.password = _header(headers, b"x-clickhouse-key")
        request.credentials_given = True
    elif authorization[:6].lower() == "basic ":
        try:
            text = base64.b64decode(authorization[6:], validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise server_error(BAD_ARGUMENTS, "The Authorization header is malformed.") from None
        request.user, _, request.password = text.partition(":")
        request.credentials_given = True
    elif "user" in raw or "password" in raw:
        request.user = raw.get("user", "")
        request.password = raw.get("password", "")
        request.credentials_given = True
    elif authorization:
        raise server_error(BAD_ARGUMENTS, "Only Basic authorization is supported.")


def _session_timeout(text: str) -> int:
    if not text.isdigit():
        raise server_error(INVALID_SESSION_TIMEOUT, f"Invalid session timeout: '{text[:40]}'.")
    seconds = int(text)
    if seconds > _MAX_SESSION_TIMEOUT:
        raise server_error(
            INVALID_SESSION_TIMEOUT,
            f"Session timeout '{seconds}' is larger than max_session_timeout: {_MAX_SESSION_TIMEOUT}.",
        )
    return seconds


def _flag(raw: dict[str, str], name: str) -> bool:
    return raw.get(name, "").strip().lower() in ("1", "true", "on", "yes")


def _header(headers: dict[bytes, bytes], name: bytes) -> str:
    value = headers.get(name, b"")
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _split_types(types: str) -> list[str]:
    """Split `UInt8,Array(Tuple(a Int8, b String))` at its outermost commas."""
    parts, depth, start = [], 0, 0
    for position, char in enumerate(types):
        if char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(types[start:position])
            start = position + 1
    parts.append(types[start:])
    return [part.strip() for part in parts if part.strip()]


def _parts(content_type: str, body: bytes) -> list[tuple[str, bool, bytes]]:
    match = re.search(r'boundary="?([^";]+)"?', content_type, re.IGNORECASE)
    if match is None:
        raise server_error(BAD_ARGUMENTS, "The multipart form names no boundary.")
    delimiter = b"\r\n--" + match.group(1).encode("latin-1")
    sections = (b"\r\n" + body).split(delimiter)
    if len(sections) < 2 or not sections[-1].startswith(b"--"):
        raise server_error(BAD_ARGUMENTS, "The multipart form is incomplete.")
    parts = []
    for section in sections[1:-1]:
        head, separator, data = section.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        text = head.decode("utf-8", errors="replace")
        name = re.search(r'[;\s]name="((?:[^"\\]|\\.)*)"', text, re.IGNORECASE)
        if not separator or name is None:
            raise server_error(BAD_ARGUMENTS, "A part of the multipart form has no name.")
        parts.append((name.group(1), "filename=" in text.lower(), data))
    return parts
