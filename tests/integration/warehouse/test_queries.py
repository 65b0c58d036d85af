"""Requests and responses of the embedded ClickHouse: parameters, settings, formats, inserts, errors, sessions."""

import gzip
import json
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead
from io import BytesIO

import lz4.frame
import pytest
from backports import zstd
from clickhouse_driver.compression.lz4 import Decompressor
from clickhouse_driver.reader import read_binary_uint8, read_binary_uint128

from tests.conftest import WarehouseServer
from tests.integration.warehouse.processes import Http
from tests.waiting import wait_for

_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
}
_DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "lz4": lz4.frame.decompress,
    "zstd": zstd.decompress,
}


@pytest.mark.parametrize(("path", "status"), [("/ping", 200), ("/", 200), ("/replicas_status", 200), ("/nope", 404)])
def test_health_paths(http: Http, path: str, status: int) -> None:
    answer = http.request("GET", path)
    assert answer.status == status
    if status == 200:
        assert answer.text == "Ok.\n"


def test_query_in_url_in_body_and_in_both(http: Http) -> None:
    assert http.request("GET", query="SELECT 1").text == "1\n"
    assert http.request(body="SELECT 2").text == "2\n"
    assert http.request(body=" 3, 4", query="SELECT").text == "3\t4\n"
    assert http.request("HEAD", query="SELECT 5").body == b""


def test_format_from_query_url_header_and_content_types(http: Http) -> None:
    query = "SELECT 1 AS a"
    assert http.request(body=query, default_format="JSONEachRow").text == '{"a":1}\n'
    assert http.request(body=query, headers={"X-ClickHouse-Format": "CSV"}).text == "1\n"
    answer = http.request(body=query + " FORMAT JSON SETTINGS max_threads = 1; -- done", default_format="CSV")
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"
    assert answer.headers["x-clickhouse-format"] == "JSON"
    assert json.loads(answer.body)["data"] == [{"a": 1}]
    assert http.request(body="SELECT 'FORMAT CSV' AS format -- FORMAT Null\n").text == "FORMAT CSV\n"
    assert http.request(body="SHOW DATABASES LIKE 'sys%' FORMAT CSV").text == '"system"\n'
    assert http.request(body="EXPLAIN AST SELECT 1").text.startswith("SelectWithUnionQuery")


def test_parameters_arrive_in_clickhouse_escaping(http: Http) -> None:
    answer = http.request(
        body="SELECT {s:String}, {n:Nullable(Int8)}, {a:Array(String)}, {d:DateTime64(3)}, count() FROM {t:Identifier}"
        " FORMAT JSONCompactEachRow",
        param_s="a\\tb'c\\\\",
        param_n="\\N",
        param_a="['x','y\\'z']",
        param_d="2026-01-31 09:30:00.123",
        param_t="one",
        database="system",
    )
    assert json.loads(answer.text) == ["a\tb'c\\", None, ["x", "y'z"], "2026-01-31 09:30:00.123", 1]


def test_settings_hold_for_one_request(http: Http) -> None:
    query = "SELECT getSetting('max_block_size')"
    assert http.sql(query, max_block_size=1234) == "1234\n"
    assert http.sql(query) != "1234\n"
    assert http.request(body=query, no_such_setting=1).code == 115
    assert http.request(body="SELECT 1", **{"bad name": 1}).code == 115
    assert http.request(body="SELECT * FROM numbers(10)", max_result_rows=5).code == 396
    assert http.request(body="SELECT sleepEachRow(0.05) FROM numbers(40)", max_execution_time=0.2).code == 159


def test_database_header_and_parameter(http: Http, database: str) -> None:
    assert http.sql("SELECT currentDatabase()", database=database) == f"{database}\n"
    answer = http.request(body="SELECT currentDatabase()", headers={"X-ClickHouse-Database": database})
    assert answer.text == f"{database}\n"


def test_response_headers(http: Http) -> None:
    answer = http.request(body="SELECT number FROM numbers(10)", query_id="ünïque-1", wait_end_of_query=1)
    assert answer.headers["x-clickhouse-query-id"].encode("latin-1").decode() == "ünïque-1"
    assert answer.headers["x-clickhouse-timezone"] == "UTC"
    assert answer.headers["x-clickhouse-server-display-name"]
    summary = json.loads(answer.headers["x-clickhouse-summary"])
    assert summary["read_rows"] == summary["result_rows"] == "10"
    assert int(summary["elapsed_ns"]) > 0


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELECT * FROM no_such_table", 404, 60),
        ("SELECT 1 FROM no_such_database.t", 404, 81),
        ("SELECT no_such_column", 404, 47),
        ("SELECT no_such_function(1)", 404, 46),
        ("SELEC 1", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("SELECT 1; DROP TABLE x; SELEC", 400, 62),
        ("SELECT 1 FORMAT Nope", 404, 73),
        ("SELECT toDate('x')", 400, 38),
        ("SELECT throwIf(1)", 500, 395),
        ("SELECT 1 INTO OUTFILE '/tmp/never'", 500, 358),
        ("INSERT INTO t FROM INFILE '/etc/hostname' FORMAT CSV", 404, 78),
        ("SELECT sleep(1) SETTINGS max_execution_time = 0.1", 408, 159),
    ],
)
def test_errors_have_clickhouse_text_code_and_status(http: Http, query: str, status: int, code: int) -> None:
    answer = http.request(body=query)
    assert (answer.status, answer.code) == (status, code), answer.text
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")
    assert answer.text.count("DB::Exception") == 1
    assert "(version 26." in answer.text
    assert "/dev/fd" not in answer.text


def test_get_implies_readonly(http: Http) -> None:
    assert http.request("GET", query="CREATE TABLE never (a Int8) ENGINE = Memory").code == 164
    assert http.request("GET", query="INSERT INTO never VALUES (1)").code == 164
    assert http.request("GET", query="SELECT 1").status == 200


def test_error_in_mid_stream_is_told_and_breaks_the_connection(http: Http) -> None:
    connection = http.connection()
    connection.request("POST", "/", "SELECT number, throwIf(number = 3000000) FROM numbers(4000000) FORMAT JSON")
    response = connection.getresponse()
    assert response.status == 200
    tag = response.headers["X-ClickHouse-Exception-Tag"]
    with pytest.raises(IncompleteRead) as broken:
        response.read()
    end = broken.value.partial[-2000:].decode()
    assert f"__exception__\r\n{tag}\r\nCode: 395. DB::Exception" in end
    assert end.endswith(f"{tag}\r\n__exception__\r\n")
    connection.close()


@pytest.mark.parametrize("encoding", [*_DECOMPRESS, "br"])
def test_compressed_responses(http: Http, encoding: str) -> None:
    query = "SELECT number, 'text' FROM numbers(100000) FORMAT CSV"
    answer = http.request(body=query, headers={"Accept-Encoding": encoding}, enable_http_compression=1)
    assert answer.headers["content-encoding"] == encoding
    plain = http.request(body=query, headers={"Accept-Encoding": encoding})
    assert "content-encoding" not in plain.headers
    assert len(answer.body) < len(plain.body) / 2
    if encoding in _DECOMPRESS:
        assert _DECOMPRESS[encoding](answer.body) == plain.body


@pytest.mark.parametrize("encoding", [*_COMPRESS])
def test_compressed_requests(http: Http, database: str, encoding: str) -> None:
    http.sql("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a", database=database)
    compress, headers = _COMPRESS[encoding], {"Content-Encoding": encoding}
    rows = "".join(f"{number}\n" for number in range(200_000)).encode()
    insert = f"INSERT INTO {database}.t FORMAT TSV"
    for body, params in ((compress(rows), {"query": insert}), (compress(insert.encode() + b"\n" + rows), {})):
        answer = http.request(body=body, headers=headers, **params)
        assert answer.status == 200, answer.text
    # Two members in a row are one body; half of one is an error and commits nothing.
    halves = compress(rows[: len(rows) // 2]) + compress(rows[len(rows) // 2 :])
    if encoding != "deflate":
        assert http.request(body=halves, headers=headers, query=insert).status == 200
    expected = "400000\n" if encoding == "deflate" else "600000\n"
    broken = http.request(body=compress(rows)[:-100], headers=headers, query=insert)
    assert broken.code == 33, broken.text
    assert http.sql(f"SELECT count() FROM {database}.t") == expected
    assert http.request(body=compress(b"SELECT 7"), headers=headers).text == "7\n"
    assert http.request(body=b"nonsense", headers=headers).code == 33


def test_unknown_compression_is_refused(http: Http) -> None:
    assert http.request(body="SELECT 1", headers={"Content-Encoding": "rot13"}).code == 89


def test_native_block_compression(http: Http, database: str) -> None:
    plain = http.request(body="SELECT number, 'text' FROM numbers(500000)").body
    for wait in (0, 1):
        answer = http.request(body="SELECT number, 'text' FROM numbers(500000)", compress=1, wait_end_of_query=wait)
        assert len(answer.body) < len(plain) / 2
        assert _read_blocks(answer.body) == plain
    http.sql("CREATE TABLE t (a UInt64, b String) ENGINE = MergeTree ORDER BY a", database=database)
    insert = {"query": f"INSERT INTO {database}.t FORMAT TSV", "decompress": 1}
    assert http.request(body=answer.body, **insert).status == 200
    assert http.sql(f"SELECT count(), sum(a) FROM {database}.t") == "500000\t124999750000\n"
    assert http.request(body=answer.body[:-1], **insert).code == 33
    assert http.request(body=answer.body[:100] + b"x" + answer.body[101:], **insert).code == 33


def _read_blocks(data: bytes) -> bytes:
    """Decode with an independent implementation, that of the native protocol's client."""
    stream, pieces = BytesIO(data), []
    while stream.tell() < len(data):
        checksum, method = read_binary_uint128(stream), read_binary_uint8(stream)
        pieces.append(Decompressor(stream).get_decompressed_data(method, checksum, 1))
    return b"".join(pieces)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("INSERT INTO {db}.t VALUES", "(1, 'a'), (1 + 1, concat('b', 'c'));"),
        ("", "INSERT INTO {db}.t (b, a) VALUES ('a', 1), ('bc', 2)"),
        ("INSERT INTO {db}.t FORMAT CSV", '1,"a"\n2,"bc"\n'),
        ("", 'INSERT INTO {db}.t FORMAT CSV\n1,"a"\n2,"bc"'),
        ("", "INSERT INTO {db}.t SETTINGS max_insert_block_size = 1 FORMAT TSV\n1\ta\n2\tbc\n"),
        ("INSERT INTO {db}.t FORMAT JSONEachRow", '{{"a": 1, "b": "a"}} {{"b": "bc", "a": 2}}'),
        ("", "-- a comment; with ' quote\nINSERT INTO TABLE {db}.t FORMAT TSVWithNames b\ta\na\t1\nbc\t2\n"),
        ("", "INSERT INTO {db}.t SELECT number + 1, ['a', 'bc'][number + 1] FROM numbers(2)"),
        ("", "INSERT INTO {db}.t (SELECT number + 1, ['a', 'bc'][number + 1] FROM numbers(2))"),
        ("", "INSERT INTO {db}.t WITH 2 AS n SELECT number + 1, ['a', 'bc'][number + 1] FROM numbers(n)"),
        ("", "INSERT INTO FUNCTION remote('127.0.0.1', null('x Int8')) VALUES (1)"),
    ],
)
def test_inserts(http: Http, database: str, query: str, body: str) -> None:
    http.sql("CREATE TABLE t (a UInt8, b String) ENGINE = MergeTree ORDER BY a", database=database)
    if "FUNCTION" in body:
        body = "INSERT INTO FUNCTION null('a UInt8, b String') VALUES (1, 'a'), (2, 'bc')"
    params = {"query": query.format(db=database)} if query else {}
    answer = http.request(body=body.format(db=database) if "FUNCTION" not in body else body, **params)
    assert answer.status == 200, answer.text
    assert json.loads(answer.headers["x-clickhouse-summary"])["written_rows"] == "2"
    if "FUNCTION" not in body:
        assert http.sql(f"SELECT * FROM {database}.t ORDER BY a") == "1\ta\n2\tbc\n"


@pytest.mark.parametrize("name", ["Native", "Parquet", "Arrow", "RowBinary", "JSONCompactEachRow", "Avro", "ORC"])
def test_formats_round_trip(http: Http, database: str, name: str) -> None:
    http.sql("CREATE TABLE t (a UInt8, b String) ENGINE = MergeTree ORDER BY a", database=database)
    data = http.request(body=f"SELECT toUInt8(number) AS a, 'x' AS b FROM numbers(3) FORMAT {name}").body
    assert http.request(body=data, query=f"INSERT INTO {database}.t FORMAT {name}").status == 200
    assert http.sql(f"SELECT sum(a), any(b) FROM {database}.t") == "3\tx\n"


def test_an_insert_that_the_engine_refuses_is_never_acknowledged(http: Http, database: str) -> None:
    http.sql("CREATE TABLE t (a Int32, CONSTRAINT small CHECK a < 10) ENGINE = MergeTree ORDER BY a", database=database)
    http.sql("CREATE TABLE source (a Int32) ENGINE = MergeTree ORDER BY a", database=database)
    http.sql("CREATE MATERIALIZED VIEW v TO t AS SELECT throwIf(a = 5) + a AS a FROM source", database=database)
    assert http.request(body="5\n11\n", query=f"INSERT INTO {database}.t FORMAT TSV").code == 469
    assert http.request(body="4\n5\n", query=f"INSERT INTO {database}.source FORMAT TSV").code == 395
    assert http.request(body="4\nx\n", query=f"INSERT INTO {database}.t FORMAT TSV").code == 27
    assert http.request(body="1\n", query=f"INSERT INTO {database}.none FORMAT TSV").code == 60
    assert http.request(body="1\n", query=f"INSERT INTO {database}.t FORMAT Nope").code == 73
    late = http.request(body="1\n" * 5_000_000, query=f"INSERT INTO {database}.none FORMAT TSV")
    assert late.code == 60
    assert http.sql(f"SELECT count() FROM {database}.t") == "0\n"


def test_multipart_form_with_query_parameters_and_external_table(http: Http) -> None:
    boundary = "xyz"

    def part(name: str, data: str, filename: str = "") -> str:
        extra = f'; filename="{filename}"' if filename else ""
        return f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{data}\r\n'

    body = (
        part("query", "SELECT sum(_1), {p:String}, any(name) FROM ids JOIN people ON id = _1")
        + part("param_p", "a\\tb")
        + part("ids", "1\n2\n", "ids.tsv")
        + part("people", "1,Ann\n2,Ann\n", "people.csv")
        + f"--{boundary}--\r\n"
    )
    answer = http.request(
        body=body,
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        ids_types="UInt8",
        people_structure="id UInt8, name String",
        people_format="CSV",
    )
    assert answer.text == "3\ta\\tb\tAnn\n"


def test_sessions_keep_tables_settings_and_database(http: Http, database: str) -> None:
    session = {"session_id": f"s-{database}"}
    http.sql("CREATE TEMPORARY TABLE kept (a Int8)", **session)
    http.sql("INSERT INTO kept VALUES (1), (2)", **session)
    http.sql("SET max_block_size = 77", **session)
    http.sql(f"USE {database}", **session)
    query = "SELECT count(), getSetting('max_block_size'), currentDatabase() FROM kept"
    assert http.sql(query, **session) == f"2\t77\t{database}\n"
    assert http.sql(query, max_block_size=5, database="system", **session) == "2\t5\tsystem\n"
    assert http.sql(query, **session) == f"2\t77\t{database}\n"
    assert http.request(body="SELECT count() FROM kept").code == 60
    assert http.request(body="SELECT 1", session_id="unknown", session_check=1).code == 372
    assert http.request(body="SELECT 1", session_id="x", session_timeout="soon").code == 374


def test_a_session_is_locked_while_it_works(http: Http) -> None:
    busy = http.open_query("SELECT sleep(1)", session_id="busy", query_id="busy-1")
    try:
        wait_for(lambda: http.running("busy-1"), 10, "the first query runs")
        assert http.request(body="SELECT 1", session_id="busy").code == 373
    finally:
        busy.close()


def test_sessions_expire(http: Http) -> None:
    http.sql("SELECT 1", session_id="brief", session_timeout=0)
    wait_for(
        lambda: http.request(body="SELECT 1", session_id="brief", session_check=1).code == 372, 10, "the session ends"
    )


def test_concurrent_clients(warehouse_server: WarehouseServer) -> None:
    http = Http(warehouse_server.port)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda i: http.sql(f"SELECT {i}, sum(number) FROM numbers(100000)"), range(200)))
    assert answers == [f"{i}\t4999950000\n" for i in range(200)]
