"""Clients of the warehouse, embedded or a real ClickHouse: the one place that turns settings into a connection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from orchestration.errors import NotReachable, UserError
from orchestration.settings import Settings

if TYPE_CHECKING:
    # aiohttp behind it is a fifth of the start of every process, and only the API needs it.
    from clickhouse_connect.driver.asyncclient import AsyncClient

# Parameterized views inside refreshable views with DEPENDS ON and APPEND, as the dbt project builds them,
# are stable since this long-term-support release.
MINIMUM_VERSION = (25, 8)

# ClickHouse codes of a refused login: UNKNOWN_USER, WRONG_PASSWORD, REQUIRED_PASSWORD, AUTHENTICATION_FAILED.
_LOGIN_CODES = {192, 193, 194, 516}
_UNKNOWN_DATABASE = 81


@dataclass(frozen=True)
class Endpoint:
    """Where a warehouse listens and who logs in; `password` never appears in `repr`."""

    host: str
    port: int
    secure: bool
    path: str
    database: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Endpoint({self.address!r}, user={self.user!r})"

    @property
    def address(self) -> str:
        """URL without credentials, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.path}"


def parse_url(url: str, *, user: str, password: str) -> Endpoint:
    """Read `http[s]://[user[:password]@]host[:port][/prefix]`; credentials in the URL win over `user`, `password`.

    `?database=` names the default database. The port defaults to 8123, and to 8443 with https.

    Raises:
        UserError: the URL is not an HTTP URL or names no host; its text is not repeated, it may hold a password.
    """
    remedy = "Set CLICKHOUSE_URL to http[s]://[user[:password]@]host[:port]."
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UserError("The URL of the warehouse is malformed.", remedy) from None
    if parts.scheme not in ("http", "https"):
        raise UserError("The URL of the warehouse must start with http:// or https://.", remedy)
    if not parts.hostname:
        raise UserError("The URL of the warehouse names no host.", remedy)
    secure = parts.scheme == "https"
    options = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    return Endpoint(
        host=parts.hostname,
        port=port or (8443 if secure else 8123),
        secure=secure,
        path=parts.path.rstrip("/"),
        database=unquote(options.get("database", "")) or "default",
        user=unquote(parts.username) if parts.username else user,
        password=unquote(parts.password) if parts.password is not None else password,
    )


def endpoint(settings: Settings) -> Endpoint:
    """Return the endpoint of the warehouse that `settings` name: the server of CLICKHOUSE_URL or the embedded one."""
    return parse_url(
        settings.warehouse_url(),
        user=settings.clickhouse_user,
        password=settings.clickhouse_password.get_secret_value(),
    )


def reader_endpoint(settings: Settings) -> Endpoint:
    """The same warehouse for the read-only user; without a password for one, as `endpoint`."""
    password = settings.warehouse_readonly_password.get_secret_value()
    if not password:
        return endpoint(settings)
    return replace(endpoint(settings), user=settings.warehouse_readonly_user, password=password)


def connect(settings: Settings, **options: Any) -> Client:
    """Open a synchronous client; `options` go to `clickhouse_connect.get_client`, over the defaults here.

    The client has no session (queries may run in parallel from several threads) and returns UTC times.

    Raises:
        UserError: unreachable, wrong credentials, unknown database, or a server older than `MINIMUM_VERSION`.
    """
    target = endpoint(settings)
    try:
        client = clickhouse_connect.get_client(**_arguments(target, options))
    except Exception as error:
        raise _explain(error, target) from error
    if problem := _version_problem(client.server_version):
        client.close()
        raise problem
    return client


async def connect_async(settings: Settings, *, is_reader: bool = False, **options: Any) -> AsyncClient:
    """Open an asynchronous client; the same contract as `connect`.

    `is_reader`: log in as the read-only user, where there is one.
    """
    target = reader_endpoint(settings) if is_reader else endpoint(settings)
    try:
        client = await clickhouse_connect.get_async_client(**_arguments(target, options))
    except Exception as error:
        raise _explain(error, target) from error
    if problem := _version_problem(client.server_version):
        await client.close()
        raise problem
    return client


def _arguments(target: Endpoint, options: dict[str, Any]) -> dict[str, Any]:
    return {
        "host": target.host,
        "port": target.port,
        "secure": target.secure,
        "interface": "https" if target.secure else "http",
        "proxy_path": target.path,
        "database": target.database,
        "username": target.user,
        "password": target.password,
        "autogenerate_session_id": False,
        "tz_mode": "aware",
        "tz_source": "server",
        "connect_timeout": 10,
        **options,
    }


def _version_problem(version: str | None) -> UserError | None:
    numbers = tuple(int(part) for part in (version or "").split(".")[:2] if part.isdigit())
    if numbers >= MINIMUM_VERSION:
        return None
    wanted = ".".join(map(str, MINIMUM_VERSION))
    return UserError(
        f"The warehouse runs ClickHouse {version or 'of an unknown version'}; {wanted} or newer is needed.",
        f"Upgrade the server to {wanted} or newer, or unset CLICKHOUSE_URL to use the embedded one.",
    )


def _explain(error: Exception, target: Endpoint) -> Exception:
    code = getattr(error, "code", None)
    if code in _LOGIN_CODES:
        return NotReachable(
            f"The warehouse at {target.address} refuses the login of user {target.user!r}.",
            "Check CLICKHOUSE_USER and CLICKHOUSE_PASSWORD, or the credentials in CLICKHOUSE_URL.",
        )
    if code == _UNKNOWN_DATABASE:
        return NotReachable(
            f"The warehouse at {target.address} has no database {target.database!r}.",
            "Create it, or correct `?database=` in CLICKHOUSE_URL.",
        )
    if code is not None or not isinstance(error, ClickHouseError | OSError):
        return error
    return NotReachable(
        f"The warehouse at {target.address} does not answer as a ClickHouse server.",
        "Start it (`jangar-quant warehouse`, or `make up`), or correct CLICKHOUSE_URL.",
    )
