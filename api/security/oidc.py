"""Bearer tokens of an OpenID Connect provider: signed by one of its keys, for this audience, not expired."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from typing import Any

import httpx
import jwt

from api.security.keys import Scope
from orchestration.errors import UserError
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

# Public keys only: a token signed with a shared secret would let every holder of that secret make one.
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
VALUES: dict[str, Scope] = {"quant:read": "read", "quant:operate": "operate"}
_LEEWAY_SECONDS = 30
_TIMEOUT_SECONDS = 5
_KEYS_SECONDS = 300
_REMEMBERED = 1024
_REMEMBER_SECONDS = 60


class ProviderUnavailable(Exception):
    """The provider's keys cannot be read, so nobody knows whether a token is good."""


class Tokens:
    """Verifies tokens. A verified one is remembered for a minute: a dashboard sends the same with every request."""

    def __init__(self, settings: Settings) -> None:
        """Raises:
        UserError: only one of issuer and audience is set.
        """
        self._issuer = settings.oidc_issuer
        self._audience = settings.oidc_audience
        self._claim = settings.oidc_claim
        if bool(self._issuer) != bool(self._audience):
            raise UserError(
                "Of JANGAR_QUANT_OIDC_ISSUER and JANGAR_QUANT_OIDC_AUDIENCE only one is set.",
                "Set both: a token of the issuer for somebody else must not be taken.",
            )
        self._keys: jwt.PyJWKClient | None = None
        self._verified: OrderedDict[str, tuple[float, tuple[str, Scope]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._issuer)

    async def find(self, text: str) -> tuple[str, Scope] | None:
        """Subject and scope of a token; None when it is not valid, or gives neither scope.

        Raises:
            ProviderUnavailable: the provider's keys cannot be read.
        """
        digest = hashlib.sha256(text.encode()).hexdigest()
        until, found = self._verified.get(digest, (0.0, None))
        if found is not None and time.monotonic() < until:
            return found
        try:
            claims = await asyncio.to_thread(self._claims, text)
        except jwt.PyJWKClientConnectionError as error:
            raise ProviderUnavailable(str(error)) from error
        except httpx.HTTPError as error:
            raise ProviderUnavailable(str(error)) from error
        except jwt.PyJWTError as error:
            logger.info("a bearer token was refused: %s", type(error).__name__)
            return None
        scope = self._scope(claims)
        if scope is None:
            return None
        found = str(claims.get("email") or claims.get("preferred_username") or claims["sub"])[:64], scope
        seconds = min(_REMEMBER_SECONDS, claims["exp"] - time.time())
        self._verified[digest] = (time.monotonic() + seconds, found)
        while len(self._verified) > _REMEMBERED:
            self._verified.popitem(last=False)
        return found

    def _claims(self, text: str) -> dict[str, Any]:
        if self._keys is None:
            document = httpx.get(
                f"{self._issuer.rstrip('/')}/.well-known/openid-configuration", timeout=_TIMEOUT_SECONDS
            )
            document.raise_for_status()
            self._keys = jwt.PyJWKClient(document.json()["jwks_uri"], lifespan=_KEYS_SECONDS, timeout=_TIMEOUT_SECONDS)
        return jwt.decode(
            text,
            self._keys.get_signing_key_from_jwt(text).key,
            algorithms=ALGORITHMS,
            audience=self._audience,
            issuer=self._issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "sub"]},
        )

    def _scope(self, claims: dict[str, Any]) -> Scope | None:
        values = claims.get(self._claim, [])
        given = {VALUES[value] for value in (values.split() if isinstance(values, str) else values) if value in VALUES}
        return "operate" if "operate" in given else "read" if "read" in given else None
