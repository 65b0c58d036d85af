"""Errors of the embedded ClickHouse: the engine's text, its code, and ClickHouse's mapping from code to HTTP status."""

import re
from dataclasses import dataclass

# Codes that the server itself raises, by ClickHouse's names.
BAD_ARGUMENTS = 36
SYNTAX_ERROR = 62
NOT_IMPLEMENTED = 48
UNKNOWN_FORMAT = 73
UNKNOWN_SETTING = 115
REQUIRED_PASSWORD = 194
UNKNOWN_TYPE_OF_QUERY = 78
UNKNOWN_COMPRESSION_METHOD = 89
CANNOT_READ_ALL_DATA = 33
READONLY = 164
TOO_MANY_SIMULTANEOUS_QUERIES = 202
QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING = 216
INTO_OUTFILE_NOT_ALLOWED = 358
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
INVALID_SESSION_TIMEOUT = 374
QUERY_IS_TOO_LARGE = 398
QUERY_WAS_CANCELLED = 394
ACCESS_DENIED = 497
AUTHENTICATION_FAILED = 516
UNKNOWN_EXCEPTION = 1002

_NAMES = {
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    UNKNOWN_FORMAT: "UNKNOWN_FORMAT",
    UNKNOWN_SETTING: "UNKNOWN_SETTING",
    REQUIRED_PASSWORD: "REQUIRED_PASSWORD",
    UNKNOWN_TYPE_OF_QUERY: "UNKNOWN_TYPE_OF_QUERY",
    UNKNOWN_COMPRESSION_METHOD: "UNKNOWN_COMPRESSION_METHOD",
    CANNOT_READ_ALL_DATA: "CANNOT_READ_ALL_DATA",
    READONLY: "READONLY",
    TOO_MANY_SIMULTANEOUS_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING",
    INTO_OUTFILE_NOT_ALLOWED: "INTO_OUTFILE_NOT_ALLOWED",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    INVALID_SESSION_TIMEOUT: "INVALID_SESSION_TIMEOUT",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    QUERY_WAS_CANCELLED: "QUERY_WAS_CANCELLED",
    ACCESS_DENIED: "ACCESS_DENIED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    UNKNOWN_EXCEPTION: "UNKNOWN_EXCEPTION",
}

_BAD_REQUEST = {6, 8, 15, 16, 25, 26, 27, 36, 38, 41, 44, 53, 62, 72, 117, 158, 167, 168, 321, 427, 441, 675, 676, 677}
# The statuses that a ClickHouse server answers with; every other code is 500.
_STATUS = {
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    194: 401,
    **dict.fromkeys(_BAD_REQUEST, 400),
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 336, 511), 404),
    **dict.fromkeys((76, 209, 439), 503),
    NOT_IMPLEMENTED: 501,
    159: 408,
    381: 411,
    QUERY_IS_TOO_LARGE: 413,
}

_CODE = re.compile(r"Code: (\d+)\. (?=DB::|Coordination::|Poco::)")
_NESTED = re.compile(r"^Code: (\d+)\. DB::Exception: (?=Code: \1\. DB::Exception: )")
_VERSION = re.compile(r" \(version [0-9.]+(?: \([^)]*\))?\)\.?")
_PIPE_NAME = re.compile(r" ?\(in file/uri /dev/fd/\d+\):?")
_REPEATED_NAME = re.compile(r"(?: \(([A-Z0-9_]+)\)\.?)(?: \(\1\)\.?)+$")


@dataclass(eq=False)
class QueryError(Exception):
    """An error as a ClickHouse client sees it: `code` (ClickHouse's number) and the text without the version."""

    code: int
    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def status(self) -> int:
        """HTTP status of a response that has not begun."""
        return _STATUS.get(self.code, 500)


def server_error(code: int, message: str) -> QueryError:
    """Return an error that the server itself raises, worded as ClickHouse words its own."""
    return QueryError(code, f"Code: {code}. DB::Exception: {message} ({_NAMES[code]})")


def engine_error(error: BaseException) -> QueryError:
    """Return the engine's error with its code; the repetitions that rethrowing inside the engine adds are removed."""
    text = str(error).strip()
    start = _CODE.search(text)
    if start is None:
        return server_error(UNKNOWN_EXCEPTION, text or type(error).__name__)
    text = _VERSION.sub("", text[start.start() :])
    while nested := _NESTED.match(text):
        text = text[nested.end() :]
    text = _PIPE_NAME.sub("", text)
    return QueryError(int(start.group(1)), _REPEATED_NAME.sub(r" (\1)", text))
