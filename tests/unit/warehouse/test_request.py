"""Reading requests: parameters, credentials, forms; and errors."""

import base64

import pytest

from orchestration.warehouse.request import add_form, parse_request
from orchestration.warehouse.status import QueryError, engine_error


def test_parameters_settings_and_protocol_are_told_apart() -> None:
    request = parse_request(
        "POST",
        b"query=SELECT%201&database=d&param_a=%5Ct&max_threads=2&session_id=s&session_timeout=9&wait_end_of_query=1"
        b"&default_format=CSV&client_protocol_version=54405&user=u&password=secret&query_id=q",
        {},
    )
    assert request.query == "SELECT 1"
    assert request.parameters == {"a": "\\t"}
    assert request.settings == {"max_threads": "2"}
    assert (request.database, request.default_format, request.query_id) == ("d", "CSV", "q")
    assert (request.session_id, request.session_timeout, request.wait_end) == ("s", 9, True)
    assert (request.user, request.password) == ("u", "secret")
    assert "secret" not in repr(request)


def test_headers_win_over_the_url_for_credentials() -> None:
    basic = base64.b64encode("ü:p:w".encode())
    request = parse_request("GET", b"user=x&password=y", {b"authorization": b"Basic " + basic})
    assert (request.user, request.password) == ("ü", "p:w")
    request = parse_request("GET", b"", {b"x-clickhouse-user": b"a", b"x-clickhouse-key": "pä".encode()})
    assert (request.user, request.password) == ("a", "pä")


@pytest.mark.parametrize("header", [b"Basic ###", b"Bearer x"])
def test_other_authorization_is_refused(header: bytes) -> None:
    with pytest.raises(QueryError):
        parse_request("GET", b"", {b"authorization": header})


def test_compression_needs_the_parameter() -> None:
    headers = {b"accept-encoding": b"gzip"}
    assert parse_request("GET", b"", headers).accept_encoding == ""
    assert parse_request("GET", b"enable_http_compression=1", headers).accept_encoding == "gzip"


@pytest.mark.parametrize("body", [b"", b"--b\r\n", b"--b\r\nX: y\r\n\r\nz\r\n--b--"])
def test_broken_forms_are_refused(body: bytes) -> None:
    request = parse_request("POST", b"", {b"content-type": b"multipart/form-data; boundary=b"})
    with pytest.raises(QueryError):
        add_form(request, body)


def test_engine_errors_lose_their_repetitions() -> None:
    error = engine_error(
        RuntimeError(
            "Streaming failed: Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format Nope. (UNKNOWN_FORMAT)"
            " (version 26.9.2.1). (UNKNOWN_FORMAT)"
        )
    )
    assert (error.code, error.status) == (73, 404)
    assert error.text == "Code: 73. DB::Exception: Unknown format Nope. (UNKNOWN_FORMAT)"
    assert engine_error(RuntimeError("boom")).code == 1002
