"""Who may do what over HTTP: the owner, and a read-only user that the engine itself confines by role and profile.

The engine runs embedded, with one user of its own. Each request of the reader therefore runs on a handle that has
dropped to the role `reader` (SELECT and SHOW only: no table functions that reach files or networks, no temporary
tables) and taken the profile of the same name (limits with bounds). What would let a statement leave that role is
refused here by the engine's own classification of the statement.
"""

import hmac
import re
from dataclasses import dataclass
from enum import Enum

from orchestration.settings import Settings
from orchestration.warehouse.config import READER, READER_LIMITS
from orchestration.warehouse.engine import Handle
from orchestration.warehouse.request import Request
from orchestration.warehouse.sql import Token, quote, tokens
from orchestration.warehouse.status import (
    ACCESS_DENIED,
    AUTHENTICATION_FAILED,
    READONLY,
    REQUIRED_PASSWORD,
    server_error,
)


class Role(Enum):
    """What a user of the HTTP interface may do."""

    OWNER = "owner"
    READER = "reader"


@dataclass(frozen=True)
class _Account:
    name: str
    password: str
    role: Role


class Accounts:
    """The users that the settings name."""

    def __init__(self, settings: Settings) -> None:
        self._owner = _Account(settings.clickhouse_user, settings.clickhouse_password.get_secret_value(), Role.OWNER)
        self._accounts = [self._owner]
        reader_password = settings.warehouse_readonly_password.get_secret_value()
        if reader_password:
            self._accounts.append(_Account(settings.warehouse_readonly_user, reader_password, Role.READER))

    def authenticate(self, request: Request) -> Role:
        """Return the role of the request's user; without credentials, the owner's when it has no password.

        Raises:
            QueryError: REQUIRED_PASSWORD without credentials, AUTHENTICATION_FAILED with wrong ones.
        """
        if not request.credentials_given:
            if not self._owner.password:
                return self._owner.role
            raise server_error(REQUIRED_PASSWORD, "Authentication failed: password required")
        user = request.user or "default"
        role = None
        for account in self._accounts:
            same = hmac.compare_digest(account.password.encode(), request.password.encode())
            if account.name == user and same:
                role = account.role
        if role is None:
            raise server_error(
                AUTHENTICATION_FAILED,
                f"{user[:60]}: Authentication failed: password is incorrect, or there is no user with such name.",
            )
        return role


# Functions that reach beyond the tables and that no grant covers: `file` reads any file of the machine, `Python` any
# object of this process.
_FORBIDDEN_FUNCTIONS = re.compile(
    r"(?:file|python|catboostevaluate|ai(?:redact|similarity|filter|classify|embed|extract|generate|translate))\Z",
    re.IGNORECASE,
)


# Texts that could name one of them; a backslash could hide its spelling.
_SUSPECT = re.compile(r"file|python|evaluate|ai|\\", re.IGNORECASE)


def confine(handle: Handle, tag: str) -> None:
    """Drop `handle` to the read-only role; there is no way back for statements that `check_reader` lets pass.

    `tag` identifies the handle's queries from now on: the profile keeps the reader from changing it.
    """
    handle.run(f"SET log_comment = {quote(tag)}")
    handle.run(f"SET ROLE {READER}")
    # Naming a profile brings its bounds; its values come only with a login.
    handle.run(f"SET profile = '{READER}'")
    handle.run("SET " + ", ".join(f"{name} = {value}" for name, value in READER_LIMITS.items()))
    handle.run("SET readonly = 2")


def check_reader(handle: Handle, sql: str, parameters: dict[str, str]) -> None:
    """Refuse every statement of the reader that is not a plain query.

    Raises:
        QueryError: ACCESS_DENIED, or the syntax error of the statement.
    """
    kind, _ = handle.classify(sql)
    if kind == "UNKNOWN":
        return  # does not parse: running it reports the syntax error
    if kind != "READ_ONLY":
        raise server_error(ACCESS_DENIED, "The read-only user may only query.")
    named = [sql, *parameters.values()]
    if not any(_SUSPECT.search(text) for text in named):
        return
    # The engine's own formatting resolves comments, quoting and escapes, so that a name has one spelling.
    canonical = handle.run(f"SELECT formatQuery({quote(sql)}) FORMAT RawBLOB").data.decode("utf-8", errors="replace")
    found = list(tokens(canonical))
    for position, token in enumerate(found):
        name = token.text.strip('`"')
        if token.kind in ("word", "quoted") and _FORBIDDEN_FUNCTIONS.match(name) and _may_be_called(found, position):
            raise server_error(ACCESS_DENIED, f"The read-only user may not call the function {name}.")
    for value in parameters.values():
        if _FORBIDDEN_FUNCTIONS.match(value.strip('`" ')):
            raise server_error(ACCESS_DENIED, f"The read-only user may not name the function {value[:60]}.")


def _may_be_called(found: list[Token], position: int) -> bool:
    """Whether the name at `position` could be a call, or a function given to another one.

    A column `t.file` and an alias `AS file` are neither.
    """
    before = found[position - 1] if position else None
    return before is None or (before.text != "." and before.word != "AS")


def refuse_setting(request: Request) -> None:
    """Refuse settings of the reader that would lift its confinement; the profile's bounds judge the others."""
    for name in ("readonly", "profile", "role"):
        if name in request.settings:
            raise server_error(READONLY, f"Cannot modify '{name}' setting in readonly mode.")
