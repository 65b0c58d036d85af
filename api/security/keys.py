"""API keys: a file of hashes, made and revoked by `jangar-quant keys`, read again whenever it changes.

A key is random and long, so one round of SHA-256 is enough to keep it: there is nothing to guess. It reads
`jq_<id>_<secret>`; the id finds its row and may stand in logs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from orchestration.errors import UserError

logger = logging.getLogger(__name__)

Scope = Literal["read", "operate"]

# The one in use and the one that takes its place.
KEYS_OF_A_NAME = 2
# A revoked key is refused after this at the latest.
REREAD_SECONDS = 1.0
_KEY = re.compile(r"jq_(?P<id>[0-9a-f]{12})_(?P<secret>[A-Za-z0-9_-]{43})")


class Key(BaseModel):
    """A row of the file. `scope` read: every GET; operate: acknowledging and silencing, too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern="^[0-9a-f]{12}$")
    name: str = Field(pattern=r"^[A-Za-z0-9._@-]{1,64}$")
    scope: Scope
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it has not expired."""
        return self.expires_at is None or now < self.expires_at


_KEYS = TypeAdapter(list[Key])


def read_keys(path: Path) -> list[Key]:
    """Read the file; without one there are no keys.

    Raises:
        UserError: it cannot be read, or is not such a file.
    """
    try:
        return _KEYS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        raise UserError(
            f"The API keys in {path} cannot be read ({type(error).__name__}).",
            "Correct the file or make it anew with `jangar-quant keys add`.",
        ) from error


def write_keys(path: Path, keys: list[Key]) -> None:
    """Replace the file in one step, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump([key.model_dump(mode="json") for key in keys], file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def add_key(path: Path, name: str, scope: Scope, lifetime: timedelta | None = None) -> tuple[str, Key]:
    """Make a key; returns its text, which is kept nowhere, and its row.

    Raises:
        UserError: the name is none, or has two valid keys already.
    """
    now = datetime.now(UTC)
    keys = read_keys(path)
    if sum(key.name == name and key.is_valid(now) for key in keys) >= KEYS_OF_A_NAME:
        raise UserError(f"{name} has two valid keys.", f"Revoke one: `jangar-quant keys revoke {name}`.")
    identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    text = f"jq_{identity}_{secret}"
    try:
        key = Key(
            id=identity,
            name=name,
            scope=scope,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            created_at=now,
            expires_at=now + lifetime if lifetime else None,
        )
    except ValidationError:
        raise UserError(f"{name!r} is no name.", "Use letters, digits and ._@-, at most 64 of them.") from None
    write_keys(path, [*keys, key])
    return text, key


class KeyRing:
    """The keys of a file as they are now."""

    def __init__(self, path: Path) -> None:
        """Raises:
        UserError: the file cannot be read.
        """
        self._path = path
        self._seen = self._signature()
        self._looked_at = time.monotonic()
        self._keys = {key.id: key for key in read_keys(path)}

    def __bool__(self) -> bool:
        self._refresh()
        return bool(self._keys)

    def find(self, text: str) -> Key | None:
        """The key of this text, if it is one and valid."""
        found = _KEY.fullmatch(text)
        key = self.get(found["id"]) if found else None
        digest = hashlib.sha256(text.encode()).hexdigest()
        if key is None or not hmac.compare_digest(key.sha256, digest):
            return None
        return key

    def get(self, identity: str) -> Key | None:
        """The key of this id, if it is valid."""
        self._refresh()
        key = self._keys.get(identity)
        return key if key is not None and key.is_valid(datetime.now(UTC)) else None

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _refresh(self) -> None:
        if time.monotonic() - self._looked_at < REREAD_SECONDS:
            return
        self._looked_at = time.monotonic()
        signature = self._signature()
        if signature == self._seen:
            return
        try:
            self._keys = {key.id: key for key in read_keys(self._path)}
        except UserError as error:
            # Half a file must not lock everybody out, nor let anybody in: what was known goes on.
            logger.error("%s", error)
            return
        self._seen = signature
        logger.info("%s API keys are known now", len(self._keys))
