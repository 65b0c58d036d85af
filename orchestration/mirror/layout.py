"""Mirror room: how the rows of one relation, as the stream sends them now, become TabSeparated lines of its copy."""

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestration.mirror.keyless import ROW
from orchestration.mirror.protocol import NULL, Values
from orchestration.mirror.types import Lossy, Mapping, escape

_NULL_FIELD = b"\\N"

# (column index, original text): called for a value that could not be held as it is.
Report = Callable[[int, bytes], None]


@dataclass(frozen=True)
class LayoutColumn:
    """A column of the stream: its mapping, and whether it belongs to the key of the copy."""

    name: str
    mapping: Mapping
    in_key: bool


@dataclass
class Layout:
    """The columns of one relation in stream order, with what turns their values into a line.

    `target` is the name of the copy, `source` schema and name in the source, `key` the indexes of the key columns.
    `not_null` are the indexes of columns that the copy holds without Nullable; a NULL in one of them lands in
    `surprised`, so that the column can be widened before the insert (ClickHouse would store a default silently).
    """

    target: str
    source: tuple[str, str]
    columns: tuple[LayoutColumn, ...]
    key: tuple[int, ...]
    not_null: tuple[int, ...]
    surprised: set[int] = field(default_factory=set)
    # Derived, once, because they are needed for every row.
    names: tuple[str, ...] = field(init=False)
    _converters: list[tuple[int, Callable[[bytes], bytes]]] = field(init=False)
    _plain: list[int] = field(init=False)
    _null_fields: list[tuple[int, bytes]] = field(init=False)
    is_keyless: bool = field(init=False)
    _tabs: int = field(init=False)

    def __post_init__(self) -> None:
        self.names = tuple(column.name for column in self.columns)
        mappings = list(enumerate(column.mapping for column in self.columns))
        self._converters = [(index, mapping.convert) for index, mapping in mappings if mapping.convert is not None]
        self._plain = [index for index, mapping in mappings if mapping.convert is None]
        self._null_fields = [(index, mapping.null) for index, mapping in mappings if not mapping.nullable]
        self.is_keyless = bool(self.names) and self.names[-1] == ROW
        self._tabs = len(self.columns) - 1

    def key_of(self, values: Values) -> tuple[bytes, ...]:
        """Return the key values of a row, as Postgres wrote them."""
        return tuple([values[index] for index in self.key])

    def render(self, values: Values, report: Report) -> bytes:
        """Return the row as a TabSeparated line without its end; `values` is used up.

        `report` is called for each value that ClickHouse cannot hold, with the original text.
        """
        self._convert(values, report)
        return self._join(values, self.not_null)

    def render_with(self, values: Values, fields: dict[int, bytes], report: Report) -> bytes:
        """Return the row as `render` does, with `fields`, TabSeparated already, in place of those columns."""
        for index in fields:
            values[index] = NULL
        self._convert(values, report)
        for index in self._plain:
            if values[index] != NULL:
                values[index] = escape(values[index])
        for index, field_ in fields.items():
            values[index] = field_
        for index in self.not_null:
            if values[index] in (NULL, _NULL_FIELD):
                self.surprised.add(index)
        return b"\t".join([_NULL_FIELD if value == NULL else value for value in values])

    def key_fields(self, key: tuple[bytes, ...]) -> list[bytes]:
        """Return key values as the copy holds them, unescaped."""
        found = []
        for index, value in zip(self.key, key, strict=True):
            convert = self.columns[index].mapping.convert
            found.append(convert(value) if convert else value)
        return found

    def render_key(self, key: tuple[bytes, ...]) -> bytes:
        """Return a line that has only the key: NULL elsewhere, and the type's default where NULL is impossible."""
        values = [NULL] * len(self.columns)
        for index, null_field in self._null_fields:
            values[index] = null_field
        for index in self.not_null:
            values[index] = self.columns[index].mapping.zero
        for index, value in zip(self.key, self.key_fields(key), strict=True):
            values[index] = value
        return self._join(values, ())

    def _join(self, values: Values, not_null: tuple[int, ...]) -> bytes:
        line = b"\t".join(values)
        # One look at the whole line instead of one per column: three times cheaper, and few lines need more.
        if b"\\" in line or b"\n" in line or b"\r" in line or line.count(b"\t") != self._tabs:
            for index in self._plain:
                if values[index] != NULL:
                    values[index] = escape(values[index])
            line = b"\t".join(values)
        if NULL in line:
            for index in not_null:
                if values[index] == NULL:
                    self.surprised.add(index)
            line = line.replace(NULL, _NULL_FIELD)
        return line

    def _convert(self, values: Values, report: Report) -> None:
        for index, convert in self._converters:
            value = values[index]
            if value != NULL:
                try:
                    values[index] = convert(value)
                except Lossy as lossy:
                    report(index, value)
                    values[index] = lossy.stored
        for index, null_field in self._null_fields:
            if values[index] == NULL:
                report(index, b"NULL")
                values[index] = null_field


def key_text(layout: Layout, values: Values) -> str:
    """Return the key of a row as text, for people."""
    return "\t".join(values[index].decode("utf-8", errors="replace") for index in layout.key)
