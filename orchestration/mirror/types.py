"""Mirror room: how each Postgres type is kept in ClickHouse, from the stream's text and from COPY.

Nothing is altered silently. A value that the ClickHouse type cannot hold raises `Lossy` with what is stored instead
(NULL, as a rule); the caller keeps the original text in `torghut_raw.mirror_lossy_values`.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from orchestration.mirror.arrays import NotOneDimensional, parse_array
from orchestration.mirror.protocol import NULL

Converter = Callable[[bytes], bytes]

# DateTime64 and Date32 hold these years and nothing outside.
_FIRST_YEAR, _YEAR_AFTER_LAST = b"1900", b"2300"
_MAX_DECIMAL_DIGITS = 76
_VARIABLE_HEADER = 4


class Lossy(Exception):
    """The value cannot be held; `stored` is the TabSeparated field that is stored instead."""

    def __init__(self, stored: bytes = NULL) -> None:
        super().__init__()
        self.stored = stored


@dataclass(frozen=True)
class SourceType:
    """A Postgres type, domains resolved to their base type.

    `kind` is pg_type.typtype (b base, e enum, c composite, r range, ...); `modifier` is the column's typmod.
    """

    name: str
    kind: str = "b"
    modifier: int = -1
    element: "SourceType | None" = None


@dataclass(frozen=True)
class Mapping:
    """How a column of one source type is kept.

    Attributes:
        clickhouse: the ClickHouse type, without Nullable.
        convert: from the text of the stream to an escaped TabSeparated field; None where the text fits as it is.
        copied: SQL expression over `{column}` whose COPY text ClickHouse reads; None where COPY needs `convert` too.
        unfit: SQL predicate over `{column}`, true for values that cannot be held; None where all can.
        null: the field that stands for NULL.
    """

    clickhouse: str
    convert: Converter | None = None
    copied: str | None = "{column}"
    unfit: str | None = None
    null: bytes = NULL

    @property
    def nullable(self) -> bool:
        """Whether ClickHouse allows Nullable around the type."""
        return self.null == NULL

    @property
    def zero(self) -> bytes:
        """The field of the type's default, for tombstones of columns that cannot be NULL."""
        return next((zero for prefix, zero in _ZEROS if self.clickhouse.startswith(prefix)), b"")

    def column_type(self, *, nullable: bool) -> str:
        """Return the type of a column. LowCardinality goes outside of Nullable."""
        if not nullable or not self.nullable:
            return self.clickhouse
        if self.clickhouse == "LowCardinality(String)":
            return "LowCardinality(Nullable(String))"
        return f"Nullable({self.clickhouse})"


def holds(clickhouse: str, source: Mapping) -> bool:
    """Whether a column of this ClickHouse type holds what comes of `source` unchanged: a String holds numbers."""
    narrow, digits = source.clickhouse, _digits(source.clickhouse)
    if digits is None or narrow == clickhouse:
        return narrow == clickhouse
    if clickhouse == "String":
        return True
    wide = _digits(clickhouse)
    if wide is None or not clickhouse.startswith(("Decimal", narrow[:3])):
        return False
    return all(mine <= other for mine, other in zip(digits, wide, strict=True))


def _digits(clickhouse: str) -> tuple[int, int] | None:
    """Digits before and after the point of an exact number, None for other types."""
    if clickhouse in _INTEGER_DIGITS:
        return _INTEGER_DIGITS[clickhouse], 0
    found = _DECIMAL.fullmatch(clickhouse)
    return (int(found[1]) - int(found[2]), int(found[2])) if found else None


def escape(value: bytes) -> bytes:
    """Escape a value as a TabSeparated field; the result holds no raw NUL."""
    return (
        value.replace(b"\\", b"\\\\")
        .replace(b"\t", b"\\t")
        .replace(b"\n", b"\\n")
        .replace(b"\r", b"\\r")
        .replace(b"\0", b"\\0")
    )


def map_type(source: SourceType) -> Mapping:
    """Return how a Postgres type is kept; what has no equal is kept as its text, in a String."""
    if source.element is not None:
        return _map_array(source.element)
    if source.kind == "e":
        # Postgres renames enum values without touching rows, so a ClickHouse Enum could not follow.
        return Mapping("LowCardinality(String)")
    if source.kind != "b":
        return Mapping("String")
    if source.name == "numeric":
        return _map_numeric(source.modifier)
    return _SIMPLE.get(source.name, Mapping("String"))


def decimal_type(modifier: int) -> str | None:
    """Return the Decimal that holds numeric(p, s) exactly, None if there is none (unbounded or over 76 digits)."""
    if modifier < _VARIABLE_HEADER:
        return None
    packed = modifier - _VARIABLE_HEADER
    # The scale is 11 bits with a sign since Postgres 15: numeric(5,-2) and numeric(3,5) are legal.
    precision, scale = (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024
    digits = max(precision, scale) if scale >= 0 else precision - scale
    if digits > _MAX_DECIMAL_DIGITS:
        return None
    return f"Decimal({digits}, {max(scale, 0)})"


def _map_numeric(modifier: int) -> Mapping:
    decimal = decimal_type(modifier)
    if decimal is None:
        return Mapping("String")
    return Mapping(decimal, _convert_decimal, "nullif({column}, 'NaN')", "{column} = 'NaN'")


def _convert_decimal(text: bytes) -> bytes:
    # A numeric with a precision cannot be infinite, so NaN is the only stranger.
    if text == b"NaN":
        raise Lossy
    return text


def _convert_timestamp(text: bytes) -> bytes:
    if text[4:5] != b"-" or not _FIRST_YEAR <= text[:4] < _YEAR_AFTER_LAST or text[-2:] == b"BC":
        raise Lossy
    return text


def _convert_timestamptz(text: bytes) -> bytes:
    # The session's time zone is UTC, so the offset is always +00.
    if text[4:5] != b"-" or not _FIRST_YEAR <= text[:4] < _YEAR_AFTER_LAST or text[-3:] != b"+00":
        raise Lossy
    return text[:-3]


def _convert_bytea(text: bytes) -> bytes:
    return escape(bytes.fromhex(text[2:].decode("ascii")))


def _map_array(element: SourceType) -> Mapping:
    inner = map_type(element)
    if element.element is not None or inner.clickhouse.startswith("LowCardinality"):
        inner = Mapping("String")
    quoted = not inner.clickhouse.startswith(("Int", "UInt", "Float", "Decimal", "Bool"))
    # Only box separates the elements of its arrays by something else than a comma.
    delimiter = b";" if element.name == "box" else b","
    empty = b"[]"

    def convert(text: bytes) -> bytes:
        try:
            elements = parse_array(text, delimiter)
        except NotOneDimensional:
            raise Lossy(empty) from None
        fields, lost = [], False
        for value in elements:
            if value is None:
                fields.append(b"NULL")
                continue
            try:
                fields.append(_array_element(value, inner, quoted))
            except Lossy:
                fields.append(b"NULL")
                lost = True
        stored = b"[" + b",".join(fields) + b"]"
        if lost:
            raise Lossy(stored)
        return stored

    return Mapping(f"Array(Nullable({inner.clickhouse}))", convert, None, None, empty)


def _array_element(value: bytes, inner: Mapping, quoted: bool) -> bytes:
    field = inner.convert(value) if inner.convert else escape(value) if quoted else value
    if inner.clickhouse == "Bool":
        return b"true" if field == b"t" else b"false"
    return b"'" + field.replace(b"'", b"\\'") + b"'" if quoted else field


_INTEGER_DIGITS = {"Int16": 5, "Int32": 10, "Int64": 19}
_DECIMAL = re.compile(r"Decimal\((\d+), (\d+)\)")

_ZEROS = (
    (("Int", "UInt", "Float", "Decimal"), b"0"),
    ("Bool", b"f"),
    ("UUID", b"00000000-0000-0000-0000-000000000000"),
    ("DateTime64", b"1970-01-01 00:00:00"),
    ("Date32", b"1970-01-01"),
    ("Time64", b"00:00:00"),
    ("Array", b"[]"),
)


def _outside(lowest: str, highest: str) -> str:
    return f"not ({{column}} >= {lowest} and {{column}} < {highest})"


def _inside(lowest: str, highest: str, value: str) -> str:
    return f"case when {{column}} >= {lowest} and {{column}} < {highest} then {value} end"


_TIMESTAMPTZ = ("timestamptz '1900-01-01 00:00:00+00'", "timestamptz '2300-01-01 00:00:00+00'")
_TIMESTAMP = ("timestamp '1900-01-01 00:00:00'", "timestamp '2300-01-01 00:00:00'")
_DATE = ("date '1900-01-01'", "date '2300-01-01'")

_SIMPLE = {
    "int2": Mapping("Int16"),
    "int4": Mapping("Int32"),
    "int8": Mapping("Int64"),
    "oid": Mapping("UInt32"),
    "float4": Mapping("Float32"),
    "float8": Mapping("Float64"),
    "bool": Mapping("Bool"),
    "uuid": Mapping("UUID"),
    "bytea": Mapping("String", _convert_bytea, None),
    "timestamptz": Mapping(
        "DateTime64(6, 'UTC')",
        _convert_timestamptz,
        _inside(*_TIMESTAMPTZ, "{column} at time zone 'UTC'"),
        _outside(*_TIMESTAMPTZ),
    ),
    # Wall-clock time without a zone: kept as if it were UTC.
    "timestamp": Mapping(
        "DateTime64(6, 'UTC')", _convert_timestamp, _inside(*_TIMESTAMP, "{column}"), _outside(*_TIMESTAMP)
    ),
    "date": Mapping("Date32", _convert_timestamp, _inside(*_DATE, "{column}"), _outside(*_DATE)),
    "time": Mapping("Time64(6)"),
}
