"""Finds out who asks: by API key, by bearer token, by the browser's cookie; without any of them, on loopback alone."""

from __future__ import annotations

import ipaddress
import logging
from typing import Annotated, cast

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from api.errors import ApiError
from api.security import cookie
from api.security.cookie import Cookies
from api.security.keys import KeyRing
from api.security.limits import Limits
from api.security.oidc import ProviderUnavailable, Tokens
from api.security.principal import LOCAL, Principal
from orchestration.errors import UserError
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_SIGN_IN = "Send an API key (`jangar-quant keys add`) or a token as `Authorization: Bearer`, or sign in in the browser."

_bearer = HTTPBearer(auto_error=False, description="An API key, or a token of the OpenID Connect provider.")
_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key.")
_cookie = APIKeyCookie(name=cookie.NAME, auto_error=False, description="What `POST /api/torghut/session` gave.")


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Who may come in."""

    def __init__(self, settings: Settings, limits: Limits) -> None:
        """Raises:
        UserError: nobody would be asked who they are on an address that others can reach, or the keys cannot be read.
        """
        self._keys = KeyRing(settings.keys_file)
        self._tokens = Tokens(settings)
        self._limits = limits
        self.cookies = Cookies(settings)
        self._was_required = False
        if not self.is_required and not is_loopback(settings.api_host):
            raise UserError(
                f"The API would be open to everybody on {settings.api_host}.",
                "Make a key first (`jangar-quant keys add NAME`), or set JANGAR_QUANT_OIDC_ISSUER and _AUDIENCE.",
            )

    @property
    def is_required(self) -> bool:
        """Whether one has to say who one is. Once it is so it stays so: a file that vanished opens no door."""
        self._was_required = self._was_required or bool(self._keys) or bool(self._tokens)
        return self._was_required

    async def of_text(self, text: str, address: str) -> Principal:
        """Who shows this key or token.

        Raises:
            ApiError: 401 when it is neither, 429 after too many of those, 503 when the provider does not answer.
        """
        self._limits.may_try(address)
        key = self._keys.find(text)
        if key is not None:
            return Principal.of(key.name, key.scope, key.id)
        if self._tokens:
            try:
                found = await self._tokens.find(text)
            except ProviderUnavailable as error:
                logger.error("the identity provider does not answer: %s", error)
                raise ApiError(503, "The identity provider does not answer.", "Try again.", retry_after=5) from None
            if found is not None:
                return Principal.of(*found)
        self._limits.failed(address)
        logger.warning("audit: %s showed a key or token that is not valid", address)
        raise _unknown("This key or token is not valid.")

    def of_cookie(self, text: str) -> Principal | None:
        """Who signed in with this cookie, unless the key was revoked since."""
        found = self.cookies.read(text)
        return found if found is not None and self.is_still_good(found) else None

    def is_still_good(self, principal: Principal) -> bool:
        """Whether who came in would be let in again: their key was not revoked."""
        return not principal.key_id or self._keys.get(principal.key_id) is not None


def _unknown(message: str) -> ApiError:
    return ApiError(401, message, _SIGN_IN, headers={"WWW-Authenticate": "Bearer"})


def address_of(request: Request) -> str:
    """From where a request comes."""
    return request.client.host if request.client else "unknown"


def access_of(request: Request) -> Access:
    """The application's one `Access`."""
    return cast(Access, request.app.state.access)


async def _principal(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)] = None,
    key: Annotated[str | None, Security(_key_header)] = None,
    session: Annotated[str | None, Security(_cookie)] = None,
) -> Principal:
    """Who asks.

    Raises:
        ApiError: 401 when that is not said or not true, 429 beyond the limits.
    """
    access = access_of(request)
    address = address_of(request)
    limits = cast(Limits, request.app.state.limits)
    if not access.is_required:
        limits.count(address)
        return LOCAL
    if text := (bearer.credentials if bearer else key):
        principal = await access.of_text(text, address)
    elif session and (found := access.of_cookie(session)):
        _refuse_foreign_page(request)
        principal = found
    else:
        raise _unknown("Who are you?")
    limits.count(f"{principal.name}/{principal.key_id}")
    return principal


def _refuse_foreign_page(request: Request) -> None:
    """A browser sends the cookie along whoever's page asks: writes are taken from our own pages only."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if request.method not in ("GET", "HEAD") and site not in ("same-origin", "none"):
        raise ApiError(403, "Another site's page asked for this.", "Do it on the dashboards themselves.")


PrincipalDep = Annotated[Principal, Depends(_principal)]


async def require_read(principal: PrincipalDep) -> Principal:
    """Let everybody in who may read."""
    return principal


async def require_operate(principal: PrincipalDep) -> Principal:
    """Let in who may acknowledge and silence.

    Raises:
        ApiError: 403 for everybody else.
    """
    if "operate" not in principal.scopes:
        raise ApiError(403, f"{principal.name} may read only.", "Use a key with the scope operate.")
    return principal


OperatorDep = Annotated[Principal, Depends(require_operate)]
