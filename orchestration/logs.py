"""Log lines of every process: one line per record, UTC, on standard error, never with a secret."""

import logging
import re
import sys
import time

# Passwords in URLs (scheme://user:secret@host) and in key=value connection strings.
_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*:)(?P<secret>[^\s@]+)@", re.IGNORECASE)
_KEYWORD_PASSWORD = re.compile(
    r"(?P<head>\b(?:password|passwd|sslpassword)\s*=\s*)(?P<secret>'(?:\\.|[^'])*'|\S+)", re.IGNORECASE
)


def redact(text: str) -> str:
    """Return `text` with the passwords of URLs and connection strings replaced by `***`."""
    return _KEYWORD_PASSWORD.sub(r"\g<head>***", _URL_PASSWORD.sub(r"\g<head>***@", text))


class _RedactingFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure_logging(process: str, level: str = "INFO") -> None:
    """Send this process's log to standard error as `2026-01-31T09:30:00.123Z LEVEL process logger message`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        _RedactingFormatter(
            f"%(asctime)s.%(msecs)03dZ %(levelname)s {process} %(name)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
