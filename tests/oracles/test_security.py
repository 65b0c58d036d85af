"""Who may ask what of the API: keys, cookies, scopes, limits, headers; and that it reads as a user who only can."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from clickhouse_connect.driver.client import Client

from api.app import TRADING, create_app
from api.security.keys import add_key, read_keys, write_keys
from orchestration.errors import UserError
from orchestration.settings import Settings
from tests.ports import free_port
from tests.waiting import wait_for

QUANT = f"{TRADING}/control-plane/quant"
ALERT = "0" * 32


@contextmanager
def serving(settings: Settings, **changes: object) -> Iterator[httpx.Client]:
    """The API with other settings, and a client of it."""
    port = free_port()
    app = create_app(settings.model_copy(update=changes))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        wait_for(lambda: server.started, 30, "the API")
        yield client
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "api-keys.json"


@pytest.fixture
def keys(keys_file: Path) -> dict[str, str]:
    return {scope: add_key(keys_file, f"desk-{scope}", scope)[0] for scope in ("read", "operate")}


@pytest.fixture
def guarded(
    warehouse_settings: Settings, built: Client, keys: dict[str, str], keys_file: Path
) -> Iterator[httpx.Client]:
    with serving(warehouse_settings, api_keys_file=keys_file) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_every_route_but_those_of_probes_asks_who_comes(guarded: httpx.Client) -> None:
    paths = guarded.get("/openapi.json").json()["paths"]
    asked = {}
    for path, methods in paths.items():
        for method in methods:
            url = re.sub(r"\{[^}]*\}", ALERT, path)
            asked[f"{method} {path}"] = guarded.request(method, url, json={"reason": "because"}).status_code
    free = {name for name, status in asked.items() if status != 401}
    session = "/api/torghut/session"
    assert free == {"get /healthz", "get /readyz", f"post {session}", f"delete {session}"}


def test_a_key_reads_by_either_header_and_only_the_right_scope_writes(
    guarded: httpx.Client, keys: dict[str, str]
) -> None:
    for headers in (bearer(keys["read"]), {"X-API-Key": keys["read"]}):
        assert guarded.get(f"{QUANT}/metrics", headers=headers).status_code == 200
    acknowledge = f"{QUANT}/alerts/{ALERT}/acknowledge"
    refused = guarded.post(acknowledge, headers=bearer(keys["read"]), json={"reason": "seen"})
    assert (refused.status_code, refused.json()["detail"]) == (403, "desk-read may read only.")
    allowed = guarded.post(acknowledge, headers=bearer(keys["operate"]), json={"reason": "seen"})
    assert (allowed.status_code, allowed.json()["detail"]) == (404, "alert_id: there is no such alert.")


def test_a_wrong_key_is_refused_and_guessing_ends(guarded: httpx.Client, keys: dict[str, str]) -> None:
    nearly = keys["read"][:-1] + ("A" if keys["read"][-1] != "A" else "B")
    refused = guarded.get(f"{QUANT}/metrics", headers=bearer(nearly))
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert nearly not in refused.text
    statuses = [guarded.get(f"{QUANT}/metrics", headers=bearer(f"guess{n}")).status_code for n in range(30)]
    assert statuses[-1] == 429


def test_two_keys_of_a_name_are_valid_and_a_revoked_one_is_not(
    guarded: httpx.Client, keys: dict[str, str], keys_file: Path
) -> None:
    second, _ = add_key(keys_file, "desk-read", "read")
    with pytest.raises(UserError, match="two valid keys"):
        add_key(keys_file, "desk-read", "read")
    both = [bearer(keys["read"]), bearer(second)]
    wait_for(lambda: all(guarded.get(f"{QUANT}/metrics", headers=h).status_code == 200 for h in both), 10, "both")
    write_keys(keys_file, [key for key in read_keys(keys_file) if not keys["read"].startswith(f"jq_{key.id}_")])
    wait_for(lambda: guarded.get(f"{QUANT}/metrics", headers=both[0]).status_code == 401, 10, "the revocation")
    assert guarded.get(f"{QUANT}/metrics", headers=both[1]).status_code == 200


def test_the_file_holds_no_key_and_its_loss_opens_no_door(
    guarded: httpx.Client, keys: dict[str, str], keys_file: Path
) -> None:
    assert keys_file.stat().st_mode & 0o777 == 0o600
    assert not any(key in keys_file.read_text() or key[16:] in keys_file.read_text() for key in keys.values())
    keys_file.unlink()
    wait_for(lambda: guarded.get(f"{QUANT}/metrics", headers=bearer(keys["read"])).status_code == 401, 10, "no keys")
    assert guarded.get(f"{QUANT}/metrics").status_code == 401


def test_a_browser_signs_in_reads_and_signs_out(guarded: httpx.Client, keys: dict[str, str], keys_file: Path) -> None:
    assert guarded.post("/api/torghut/session", json={"key": "jq_no"}).status_code == 401
    signed_in = guarded.post("/api/torghut/session", json={"key": keys["operate"]})
    assert signed_in.json() == {
        "ok": True,
        "authentication": True,
        "name": "desk-operate",
        "scopes": ["read", "operate"],
    }
    cookie = signed_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert keys["operate"] not in cookie
    assert guarded.get(f"{QUANT}/metrics").status_code == 200
    with guarded.stream("GET", f"{QUANT}/stream") as stream:
        assert stream.status_code == 200
    foreign = {"Sec-Fetch-Site": "cross-site"}
    written = guarded.post(f"{QUANT}/alerts/{ALERT}/acknowledge", json={"reason": "x"}, headers=foreign)
    assert written.status_code == 403
    guarded.delete("/api/torghut/session")
    assert guarded.get(f"{QUANT}/metrics").status_code == 401
    guarded.post("/api/torghut/session", json={"key": keys["operate"]})
    write_keys(keys_file, [key for key in read_keys(keys_file) if key.scope == "read"])
    wait_for(lambda: guarded.get(f"{QUANT}/metrics").status_code == 401, 10, "the end of a revoked key's cookie")


def test_a_stream_ends_when_its_key_is_revoked(guarded: httpx.Client, keys: dict[str, str], keys_file: Path) -> None:
    headers = bearer(keys["read"])
    url = f"{QUANT}/stream"
    with guarded.stream("GET", url, headers=headers, timeout=60) as stream:
        lines = stream.iter_lines()
        next(lines)
        write_keys(keys_file, [])
        for _ in lines:
            pass


def test_off_loopback_nothing_starts_without_keys(warehouse_settings: Settings, keys_file: Path) -> None:
    settings = warehouse_settings.model_copy(update={"api_host": "0.0.0.0", "api_keys_file": keys_file})
    with pytest.raises(UserError, match="open to everybody"):
        create_app(settings)
    add_key(keys_file, "desk", "read")
    create_app(settings)


def test_only_names_of_this_machine_are_answered(api: httpx.Client) -> None:
    root = str(api.base_url.copy_with(path="/healthz"))
    assert api.get(root, headers={"Host": "rebound.example"}).status_code == 400
    assert api.get(root, headers={"Host": "localhost"}).status_code == 200


def test_beyond_the_limits_a_client_is_told_to_wait(warehouse_settings: Settings, built: Client) -> None:
    with serving(warehouse_settings, api_requests_per_second=2, api_streams_per_client=1) as client:
        with client.stream("GET", f"{QUANT}/stream") as first:
            assert first.status_code == 200
            second = client.get(f"{QUANT}/stream")
            assert (second.status_code, second.headers["retry-after"]) == (429, "30")
        wait_for(lambda: _opens(client), 10, "the place of a stream that ended")
        statuses = [client.get(f"{QUANT}/metrics").status_code for _ in range(30)]
        assert statuses[-1] == 429


def _opens(client: httpx.Client) -> bool:
    with client.stream("GET", f"{QUANT}/stream") as stream:
        return stream.status_code == 200


def test_every_answer_has_the_headers_of_security(api: httpx.Client) -> None:
    for path in ("metrics", "nothing-there", "snapshot?window=none"):
        headers = api.get(f"control-plane/quant/{path}").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["referrer-policy"] == "no-referrer"


def test_the_api_reads_as_a_user_that_can_write_nothing(warehouse_settings: Settings, built: Client) -> None:
    from orchestration.warehouse.client import connect, reader_endpoint

    target = reader_endpoint(warehouse_settings)
    assert target.user == warehouse_settings.warehouse_readonly_user
    reader = connect(warehouse_settings, username=target.user, password=target.password)
    with pytest.raises(Exception, match="read-only"):
        reader.command("insert into quant.alert_action (reason) values ('x')")


def test_secrets_stand_in_no_answer_and_no_description(guarded: httpx.Client, keys: dict[str, str]) -> None:
    texts = [
        guarded.get("/openapi.json").text,
        guarded.get("/metrics", headers=bearer(keys["read"])).text,
        json.dumps(dict(guarded.get(f"{QUANT}/health", headers=bearer(keys["read"])).headers)),
    ]
    assert not any(key in text for text in texts for key in keys.values())
