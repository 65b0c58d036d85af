"""Where clauses stand in SQL text."""

import pytest

from orchestration.warehouse.sql import first_word, quote, split_format, split_insert, unquote


@pytest.mark.parametrize(
    ("text", "head", "name", "tail"),
    [
        ("SELECT 1", "SELECT 1", None, ""),
        ("SELECT 1 ;; -- end;\n", "SELECT 1", None, ""),
        ("SELECT 1 FORMAT CSV;", "SELECT 1 ", "CSV", ""),
        ("SELECT 1\nformat\n JSON -- x", "SELECT 1\n", "JSON", ""),
        ("SELECT 1 FORMAT CSV SETTINGS a = 1", "SELECT 1 ", "CSV", " SETTINGS a = 1"),
        ("SELECT 1 SETTINGS a = 'FORMAT CSV'", "SELECT 1 SETTINGS a = 'FORMAT CSV'", None, ""),
        ("SELECT format FROM t", "SELECT format FROM t", None, ""),
        ("SELECT 'x' AS `FORMAT`", "SELECT 'x' AS `FORMAT`", None, ""),
        ("SELECT 1 /* FORMAT CSV */", "SELECT 1", None, ""),
        ("SELECT 1 -- FORMAT CSV", "SELECT 1", None, ""),
        ("SELECT $$ FORMAT CSV $$", "SELECT $$ FORMAT CSV $$", None, ""),
        ("SELECT 'it''s \\' FORMAT CSV'", "SELECT 'it''s \\' FORMAT CSV'", None, ""),
        ("", "", None, ""),
    ],
)
def test_split_format(text: str, head: str, name: str | None, tail: str) -> None:
    found = split_format(text)
    assert (found.head, found.format, found.tail) == (head, name, tail)


@pytest.mark.parametrize(
    ("data", "target", "settings", "name", "rows"),
    [
        (b"INSERT INTO t VALUES (1)", "INSERT INTO t ", "", "Values", b" (1)"),
        (b"insert into t (a, b) format TSV\n1\t2\n", "insert into t (a, b) ", "", "TSV", b"1\t2\n"),
        (b"INSERT INTO t FORMAT CSV  \r\n\n1", "INSERT INTO t ", "", "CSV", b"\n1"),
        (b"INSERT INTO t SETTINGS a = 1 FORMAT CSV 1", "INSERT INTO t ", "SETTINGS a = 1 ", "CSV", b"1"),
        (b"INSERT INTO values.format VALUES (1)", "INSERT INTO values.format ", "", "Values", b" (1)"),
        (
            b"INSERT INTO TABLE FUNCTION f('a', VALUES) VALUES 1",
            "INSERT INTO TABLE FUNCTION f('a', VALUES) ",
            "",
            "Values",
            b" 1",
        ),
        (
            b"INSERT INTO `t ; x` (`format`) FORMAT Native\n\x01\xff\x00",
            "INSERT INTO `t ; x` (`format`) ",
            "",
            "Native",
            b"\x01\xff\x00",
        ),
        (b"/* a */ INSERT -- b\nINTO t FORMAT TSV\n", "/* a */ INSERT -- b\nINTO t ", "", "TSV", b""),
    ],
)
def test_split_insert(data: bytes, target: str, settings: str, name: str, rows: bytes) -> None:
    found = split_insert(data)
    assert found is not None
    assert (found.target, found.settings, found.format) == (target, settings, name)
    assert data[found.data_start :] == rows
    assert found.explicit


@pytest.mark.parametrize(
    "data",
    [
        b"SELECT 1",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t (SELECT 1)",
        b"INSERT INTO t WITH 1 AS x SELECT x",
        b"INSERT INTO t FROM INFILE 'x' FORMAT CSV",
        b"WITH 1 AS x INSERT INTO t SELECT x",
        b"",
    ],
)
def test_other_statements_have_no_rows(data: bytes) -> None:
    assert split_insert(data) is None


def test_an_insert_without_a_format_is_not_explicit() -> None:
    found = split_insert(b"INSERT INTO t (a)")
    assert found is not None
    assert not found.explicit


@pytest.mark.parametrize(
    ("text", "word"), [("  ( /* x */ (select 1))", "SELECT"), ("-- a\nSHOW TABLES", "SHOW"), ("`select`", ""), ("", "")]
)
def test_first_word(text: str, word: str) -> None:
    assert first_word(text) == word


@pytest.mark.parametrize("text", ["", "it's", "a\\b", "\\'", "x'; DROP TABLE t; --", "ü\n"])
def test_quoting_round_trips(text: str) -> None:
    assert unquote(quote(text)) == text
