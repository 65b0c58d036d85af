"""Just enough SQL lexing to serve HTTP: where the FORMAT clause stands, and where an INSERT's data begins."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

_COMMENT = r"--[^\n]*|\#[\ !][^\n]*|/\*.*?(?:\*/|\Z)"
_STRING = r"'(?:[^'\\]|\\.|'')*'?|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
_QUOTED = r"`(?:[^`\\]|\\.|``)*`?|\"(?:[^\"\\]|\\.|\"\")*\"?"
_TOKEN = re.compile(
    rf"(?P<skip>\s+|{_COMMENT})|(?P<string>{_STRING})|(?P<quoted>{_QUOTED})"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<number>\d[\w.]*)|(?P<other>.)",
    re.DOTALL,
)
# Finds the next bare FORMAT, over what may hold the word without being it: token by token, a 5 KB query takes 3 ms.
# Not by a possessive repetition: Python 3.11.2, which Debian 12 brings, matches those wrongly, and no query worked.
_TO_FORMAT = re.compile(rf"{_COMMENT}|{_STRING}|{_QUOTED}|\b(?P<format>format)\b", re.DOTALL | re.IGNORECASE)


class Token(NamedTuple):
    """One significant token; `word` is upper-cased text of a bare word, else empty."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        return self.text.upper() if self.kind == "word" else ""


@dataclass(frozen=True)
class ReadQuery:
    """A query that returns rows: its text without FORMAT, the format named in it, and the settings after it."""

    head: str
    format: str | None
    tail: str


@dataclass(frozen=True)
class InsertQuery:
    """An INSERT whose rows follow as data: target (up to the columns), SETTINGS clause, format, offset of the data.

    `explicit` says that VALUES or FORMAT was found: what follows cannot change the statement.
    """

    target: str
    settings: str
    format: str
    data_start: int
    explicit: bool


def tokens(text: str) -> Iterator[Token]:
    """Yield the significant tokens of `text`: no spaces, no comments."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "tag":
            kind = "string"
        if kind is not None and kind != "skip":
            yield Token(kind, match.group(), match.start(), match.end())


def first_word(text: str) -> str:
    """Return the first word in upper case; parentheses before it are skipped."""
    for token in tokens(text):
        if token.text != "(":
            return token.word
    return ""


def split_format(text: str) -> ReadQuery:
    """Separate the trailing `FORMAT name [SETTINGS ...]` and the final semicolons from a query."""
    starts = [match.start() for match in _TO_FORMAT.finditer(text) if match["format"]]
    for start in reversed(starts):
        clause = _significant(text[start:])
        if len(clause) < 2 or clause[1].kind not in ("word", "quoted"):
            continue
        if len(clause) > 2 and clause[2].word != "SETTINGS":
            continue
        name = clause[1]
        return ReadQuery(text[:start], name.text.strip('`"'), text[start + name.end : start + clause[-1].end])
    found = _significant(text)
    return ReadQuery(text[: found[-1].end] if found else text, None, "")


def _significant(text: str) -> list[Token]:
    """The tokens of `text` without the semicolons at its end."""
    found = list(tokens(text))
    while found and found[-1].text == ";":
        found.pop()
    return found


def split_insert(data: bytes) -> InsertQuery | None:
    """Separate an INSERT statement from the rows that follow it; None when `data` is any other statement.

    `INSERT ... SELECT` and `INSERT ... FROM INFILE` have no rows of their own and are other statements.
    """
    # Latin-1 maps every byte to one character, so offsets in the text are offsets in the data.
    text = data.decode("latin-1")
    stream = tokens(text)
    if next(stream, Token("", "", 0, 0)).word != "INSERT":
        return None
    token = next(stream, None)
    while token is not None and token.word in ("INTO", "TABLE", "FUNCTION"):
        token = next(stream, None)
    # The table's name may itself be a keyword: step over it before looking for the clauses.
    while token is not None and token.kind in ("word", "quoted"):
        token = next(stream, None)
        if token is None or token.text != ".":
            break
        token = next(stream, None)
    depth = 0
    end = len(text)
    settings_start = -1
    while token is not None:
        if token.text == "(":
            depth += 1
        elif token.text == ")":
            depth -= 1
        elif token.word in ("SELECT", "WITH", "WATCH") and depth <= 1:
            return None
        elif depth == 0 and token.word == "VALUES":
            return _insert(data, settings_start, token.start, "Values", token.end, explicit=True)
        elif depth == 0 and token.word == "FORMAT":
            name = next(stream, None)
            if name is not None and name.kind in ("word", "quoted"):
                start = _data_start(text, name.end)
                return _insert(data, settings_start, token.start, name.text.strip('`"'), start, explicit=True)
            token = name
            continue
        elif depth == 0 and token.word == "SETTINGS":
            settings_start = token.start
        elif depth == 0 and token.word == "FROM":
            return None
        elif depth == 0 and token.text == ";":
            end = token.start
            break
        token = next(stream, None)
    return _insert(data, settings_start, end, "Values", len(data), explicit=False)


def quote(value: str) -> str:
    """Return `value` as a ClickHouse string literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def unquote(literal: str) -> str:
    """Return the text of a single-quoted ClickHouse string literal."""
    return re.sub(r"\\(.)|''", lambda match: match.group(1) or "'", literal[1:-1], flags=re.DOTALL)


def quote_identifier(name: str) -> str:
    """Return `name` as a back-quoted ClickHouse identifier."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _data_start(text: str, position: int) -> int:
    """Offset of the first data byte after a format's name: blanks and one line end are skipped, as ClickHouse does."""
    match = re.compile(r"[ \t\f]*\r?\n?").match(text, position)
    return match.end() if match else position


def _insert(
    data: bytes, settings_start: int, end: int, input_format: str, data_start: int, *, explicit: bool
) -> InsertQuery:
    target_end = settings_start if settings_start >= 0 else end
    return InsertQuery(_utf8(data[:target_end]), _utf8(data[target_end:end]), input_format, data_start, explicit)


def _utf8(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")
