"""Notify: the channels that a setting names, through Apprise."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestration.errors import UserError
from orchestration.logs import redact

if TYPE_CHECKING:
    from apprise import Apprise

# Its records may tell URLs: they are read, and go no further.
_APPRISE = logging.getLogger("apprise")
_APPRISE.propagate = False
_APPRISE.setLevel(logging.WARNING)
_APPRISE.addHandler(logging.NullHandler())
_DOCS = "https://github.com/caronc/apprise/wiki lists the kinds of URL; separate several by spaces."


class NotSent(Exception):
    """A channel did not take a message."""


class _Said(logging.Handler):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().strip())


@dataclass(frozen=True)
class Channel:
    """One place where alerts are told. `name` tells its kind and which one it is, and nothing of its URL."""

    name: str
    apprise: Apprise

    def send(self, title: str, body: str, kind: str) -> None:
        """Send a message; `kind` is failure, warning, info or success.

        Raises:
            NotSent: the channel did not take it; the message says why, as far as Apprise knows.
        """
        from apprise import NotifyType

        said = _Said()
        _APPRISE.addHandler(said)
        try:
            if not self.apprise.notify(body=body, title=title, notify_type=NotifyType(kind)):
                raise NotSent(redact(said.lines[-1])[:500] if said.lines else "it was not taken")
        finally:
            _APPRISE.removeHandler(said)


def channels_of(urls: str) -> list[Channel]:
    """The channels of a setting, in its order; the same one twice is one.

    Raises:
        UserError: an URL is none that Apprise knows; the message tells its place and kind, not the URL.
    """
    from apprise import Apprise

    found: dict[str, Channel] = {}
    for number, url in enumerate(urls.split(), start=1):
        scheme = url.partition("://")[0][:20]
        apprise = Apprise()
        if "://" not in url or not apprise.add(url):
            raise UserError(f"JANGAR_QUANT_NOTIFY_URLS: number {number} ({scheme}) is no URL of a channel.", _DOCS)
        name = f"{scheme}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        found[name] = Channel(name, apprise)
    return list(found.values())
