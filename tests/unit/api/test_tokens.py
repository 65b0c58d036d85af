"""Bearer tokens, against a provider on this machine that publishes its keys as OpenID Connect says."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from api.security.oidc import ProviderUnavailable, Tokens
from orchestration.errors import UserError
from orchestration.settings import Settings
from tests.ports import free_port

AUDIENCE = "jangar-quant"


class Provider:
    """Signs tokens, and answers for its public key."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        jwk = {**json.loads(RSAAlgorithm.to_jwk(self.key.public_key())), "kid": "one", "use": "sig", "alg": "RS256"}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                documents = {
                    "/.well-known/openid-configuration": {"issuer": provider.url, "jwks_uri": f"{provider.url}/keys"},
                    "/keys": {"keys": [jwk]},
                }
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(documents[self.path]).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, key: Any = None, algorithm: str = "RS256", **claims: Any) -> str:
        known = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "anna",
            "exp": time.time() + 300,
            "scope": "openid quant:read",
        }
        kept = {name: value for name, value in {**known, **claims}.items() if value is not None}
        return jwt.encode(kept, key or self.key, algorithm=algorithm, headers={"kid": "one"})


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.server.shutdown()
    provider.server.server_close()


def tokens(provider: Provider, **more: Any) -> Tokens:
    return Tokens(Settings(oidc_issuer=provider.url, oidc_audience=AUDIENCE, **more))


def find(found: Tokens, text: str) -> tuple[str, str] | None:
    return asyncio.run(found.find(text))


def test_a_token_gives_the_scope_that_it_names(provider: Provider) -> None:
    found = tokens(provider)
    assert find(found, provider.token()) == ("anna", "read")
    assert find(found, provider.token(scope="quant:operate quant:read")) == ("anna", "operate")
    assert find(found, provider.token(scope="openid")) is None
    assert find(found, provider.token(email="anna@example.com")) == ("anna@example.com", "read")
    groups = tokens(provider, oidc_claim="groups")
    assert find(groups, provider.token(scope=None, groups=["quant:operate"])) == ("anna", "operate")


def test_a_token_that_is_not_for_us_is_refused(provider: Provider) -> None:
    found = tokens(provider)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for text in (
        provider.token(exp=time.time() - 60),
        provider.token(exp=None),
        provider.token(aud="another"),
        provider.token(iss="http://another.example"),
        provider.token(key=other),
        # A public key taken for a shared secret, and no signature at all.
        provider.token(key="x" * 64, algorithm="HS256"),
        jwt.encode({"sub": "anna"}, "", algorithm="none"),
        "nonsense",
    ):
        assert find(found, text) is None


def test_a_provider_that_does_not_answer_is_told_apart() -> None:
    unreachable = Settings(oidc_issuer=f"http://127.0.0.1:{free_port()}", oidc_audience=AUDIENCE)
    with pytest.raises(ProviderUnavailable):
        find(Tokens(unreachable), "nonsense")


def test_an_issuer_without_an_audience_is_refused() -> None:
    with pytest.raises(UserError, match="only one is set"):
        Tokens(Settings(oidc_issuer="http://127.0.0.1:1"))
