"""docs/mirror.md names a test, or a reason, for every trap: what it names must exist."""

import re

from orchestration.settings import PROJECT_DIR

PAGE = (PROJECT_DIR / "docs" / "mirror.md").read_text(encoding="utf-8")


def test_every_trap_is_in_the_table() -> None:
    rows = re.findall(r"^\| (T\d[^|]*)\|", PAGE, flags=re.MULTILINE)
    named = {int(number) for row in rows for number in re.findall(r"T(\d+)", row)}
    for first, last in re.findall(r"T(\d+) to T(\d+)", " ".join(rows)):
        named |= set(range(int(first), int(last) + 1))
    assert named == set(range(1, 56))


def test_the_tests_that_it_names_exist() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in (PROJECT_DIR / "tests").rglob("test_*.py"))
    for mark in re.findall(r"`(test_\w+)`(°?)", PAGE):
        name, everywhere = mark
        assert f"def {name}(" in texts, name
        before = texts.partition(f"def {name}(")[0].rpartition("\n\n")[2]
        assert ("@every_server" in before) == bool(everywhere), name
