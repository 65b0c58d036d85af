"""Mirror room: one-dimensional Postgres arrays (`{1,NULL,"a b"}`) as lists of element texts."""

from collections.abc import Iterator


class NotOneDimensional(ValueError):
    """A nested array, or one with bounds of its own: ClickHouse's Array(T) cannot hold it."""


def parse_array(text: bytes, delimiter: bytes = b",") -> list[bytes | None]:
    """Return the elements of a one-dimensional array in Postgres' output format, None for NULL.

    Raises:
        NotOneDimensional: `text` has bounds (`[0:1]={...}`) or is nested.
    """
    if text[:1] != b"{":
        raise NotOneDimensional
    if text == b"{}":
        return []
    return list(_elements(text, delimiter))


def _elements(text: bytes, delimiter: bytes) -> Iterator[bytes | None]:
    offset, end = 1, len(text) - 1
    while offset <= end:
        if text[offset : offset + 1] == b"{":
            raise NotOneDimensional
        if text[offset : offset + 1] == b'"':
            value = bytearray()
            offset += 1
            while text[offset : offset + 1] != b'"':
                if text[offset : offset + 1] == b"\\":
                    offset += 1
                value += text[offset : offset + 1]
                offset += 1
            yield bytes(value)
            offset += 2
        else:
            stop = text.find(delimiter, offset)
            stop = end if stop < 0 else stop
            word = text[offset:stop]
            yield None if word == b"NULL" else word
            offset = stop + 1
