"""The mapping of types, and rows as TabSeparated lines."""

import pytest

from orchestration.mirror.arrays import NotOneDimensional, parse_array
from orchestration.mirror.layout import Layout, LayoutColumn
from orchestration.mirror.protocol import NULL
from orchestration.mirror.snapshot import _unescape
from orchestration.mirror.types import Lossy, Mapping, SourceType, decimal_type, holds, map_type


def numeric(precision: int, scale: int) -> int:
    """The typmod of numeric(precision, scale)."""
    return ((precision << 16) | (scale & 0x7FF)) + 4


@pytest.mark.parametrize(
    ("modifier", "expected"),
    [
        (numeric(20, 8), "Decimal(20, 8)"),
        (numeric(76, 76), "Decimal(76, 76)"),
        (numeric(5, -2), "Decimal(7, 0)"),
        (numeric(3, 5), "Decimal(5, 5)"),
        (numeric(77, 2), None),
        (-1, None),
    ],
)
def test_decimal_type(modifier: int, expected: str | None) -> None:
    assert decimal_type(modifier) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SourceType("int8"), "Int64"),
        (SourceType("numeric"), "String"),
        (SourceType("mood", "e"), "LowCardinality(String)"),
        (SourceType("pair", "c"), "String"),
        (SourceType("_int4", element=SourceType("int4")), "Array(Nullable(Int32))"),
        (SourceType("_mood", element=SourceType("mood", "e")), "Array(Nullable(String))"),
        (SourceType("tsvector"), "String"),
    ],
)
def test_clickhouse_type(source: SourceType, expected: str) -> None:
    assert map_type(source).clickhouse == expected


@pytest.mark.parametrize(
    ("kind", "text", "field"),
    [
        ("timestamptz", b"2026-01-02 03:04:05.6+00", b"2026-01-02 03:04:05.6"),
        ("timestamptz", b"1900-01-01 00:00:00+00", b"1900-01-01 00:00:00"),
        ("date", b"2299-12-31", b"2299-12-31"),
        ("bytea", rb"\x00ff5c0a09", b"\\0\xff\\\\\\n\\t"),
    ],
)
def test_converted(kind: str, text: bytes, field: bytes) -> None:
    convert = map_type(SourceType(kind)).convert
    assert convert is not None
    assert convert(text) == field


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("timestamptz", b"infinity"),
        ("timestamptz", b"-infinity"),
        ("timestamptz", b"1899-12-31 23:59:59+00"),
        ("timestamptz", b"2300-01-01 00:00:00+00"),
        ("timestamptz", b"19500-01-01 00:00:00+00"),
        ("timestamptz", b"2000-01-01 00:00:00+00 BC"),
        ("timestamp", b"2000-01-01 00:00:00 BC"),
        ("date", b"0001-01-01"),
        ("date", b"infinity"),
    ],
)
def test_lossy(kind: str, text: bytes) -> None:
    convert = map_type(SourceType(kind)).convert
    assert convert is not None
    with pytest.raises(Lossy) as lossy:
        convert(text)
    assert lossy.value.stored == NULL


def test_arrays() -> None:
    assert parse_array(b"{}") == []
    assert parse_array(rb'{1,NULL,"NULL","a,b","c\"d\\",""}') == [b"1", None, b"NULL", b"a,b", b'c"d\\', b""]
    for text in (b"{{1},{2}}", b"[0:1]={1,2}"):
        with pytest.raises(NotOneDimensional):
            parse_array(text)


def layout(*kinds: str, not_null: tuple[int, ...] = ()) -> Layout:
    """A layout whose first column is the key."""
    columns = tuple(LayoutColumn(f"c{n}", map_type(SourceType(kind)), n == 0) for n, kind in enumerate(kinds))
    return Layout("t", ("public", "t"), columns, (0,), not_null)


def test_line() -> None:
    report: list[tuple[int, bytes]] = []
    rows = layout("int4", "text", "timestamptz", "bool")
    found = rows.render(
        [b"1", b"tab\tnl\ncr\rback\\N", b"infinity", NULL], lambda index, original: report.append((index, original))
    )
    assert found == b"1\ttab\\tnl\\ncr\\rback\\\\N\t\\N\t\\N"
    assert report == [(2, b"infinity")]


def test_null_where_the_copy_has_none_is_noticed() -> None:
    rows = layout("int4", "text", "int4", not_null=(1, 2))
    assert rows.render([b"1", NULL, b"2"], print) == b"1\t\\N\t2"
    assert rows.surprised == {1}


def test_tombstone_invents_nothing_where_null_is_possible() -> None:
    rows = layout("int4", "text", "int4", "timestamptz", "uuid", not_null=(2, 3))
    assert rows.render_key((b"7",)) == b"7\t\\N\t0\t1970-01-01 00:00:00\t\\N"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (rb"\N", NULL),
        (rb"a\tb\\n\n", b"a\tb\\n\n"),
        (rb"\\", b"\\"),
        (rb"\\\\t", b"\\\\t"),
        (rb"\b\f\r\v", b"\b\f\r\v"),
        (b"", b""),
    ],
)
def test_copy_text(field: bytes, value: bytes) -> None:
    assert _unescape(field) == value


@pytest.mark.parametrize(
    ("clickhouse", "source", "expected"),
    [
        ("Int64", "int4", True),
        ("Int32", "int8", False),
        ("Decimal(30, 4)", "int8", True),
        ("Decimal(20, 4)", "int8", False),
        ("Int64", "float8", False),
        ("Float64", "int4", False),
        ("Float64", "float4", False),
        ("String", "int2", True),
        ("String", "float8", False),
        ("String", "bool", False),
        ("UUID", "uuid", True),
        ("String", "uuid", False),
    ],
)
def test_what_a_column_holds(clickhouse: str, source: str, expected: bool) -> None:
    assert holds(clickhouse, map_type(SourceType(source))) is expected


def test_what_a_decimal_holds() -> None:
    def kept(precision: int, scale: int) -> Mapping:
        return map_type(SourceType("numeric", modifier=numeric(precision, scale)))

    assert holds("Decimal(20, 8)", kept(10, 2))
    assert not holds("Decimal(20, 8)", kept(20, 2))
    assert not holds("Decimal(20, 8)", kept(10, 9))
    assert not holds("Int64", kept(10, 0))
    assert holds("String", kept(10, 2))
