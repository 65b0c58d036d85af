"""How dbt is run."""

from pathlib import Path

from orchestration.transform.dbt import drop_stale_parse


def test_a_changed_macro_has_the_project_parsed_anew(tmp_path: Path) -> None:
    target, macros = tmp_path / "target", tmp_path / "macros"
    macros.mkdir()
    macro, parsed = macros / "rounding.sql", target / "partial_parse.msgpack"
    macro.write_text("{% macro rounded() %}1{% endmacro %}")
    drop_stale_parse(target, macros)
    parsed.write_bytes(b"parsed")
    drop_stale_parse(target, macros)
    assert parsed.exists()
    macro.write_text("{% macro rounded() %}2{% endmacro %}")
    drop_stale_parse(target, macros)
    assert not parsed.exists()
