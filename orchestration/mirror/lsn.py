"""Mirror room: log sequence numbers, as Postgres writes them (`16/B374D848`) and as integers."""


def parse_lsn(text: str) -> int:
    """Return the integer of `16/B374D848`."""
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)


def format_lsn(lsn: int) -> str:
    """Return `16/B374D848` of an integer."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
