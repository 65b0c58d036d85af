"""The browser's cookie: signed, short-lived, and unreadable for scripts, so that no key stands in a URL.

A page's EventSource cannot send a header, so somebody who signs in gets this in exchange for a key or a token.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt

from api.security.principal import Principal
from orchestration.settings import Settings

NAME = "jangar_quant_session"
LIFETIME = timedelta(hours=12)
_AUDIENCE = "jangar-quant-browser"


class Cookies:
    """Makes and reads cookies."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret = settings.session_secret.get_secret_value()

    def make(self, principal: Principal) -> str:
        """The text of a cookie for who has just shown a key or a token."""
        claims = {
            "sub": principal.name,
            "scope": "operate" if "operate" in principal.scopes else "read",
            "key": principal.key_id,
            "aud": _AUDIENCE,
            "exp": datetime.now(UTC) + LIFETIME,
        }
        return jwt.encode(claims, self._signing_secret(), algorithm="HS256")

    def read(self, text: str) -> Principal | None:
        """Who it was made for; None when it is not ours or has expired."""
        try:
            claims = jwt.decode(
                text,
                self._signing_secret(),
                algorithms=["HS256"],
                audience=_AUDIENCE,
                options={"require": ["exp", "sub", "scope", "key"]},
            )
        except jwt.PyJWTError:
            return None
        return Principal.of(claims["sub"], claims["scope"], key_id=claims["key"])

    def _signing_secret(self) -> str:
        if not self._secret:
            self._secret = _kept_secret(self._settings.state_dir / "session-secret")
        return self._secret


def _kept_secret(path: Path) -> str:
    """Read the secret of this machine, and make it where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            # Of two processes that make one the first wins; a link never shows half a file.
            path.hardlink_to(beside)
        except FileExistsError:
            pass
        finally:
            beside.unlink()
    return path.read_text()
