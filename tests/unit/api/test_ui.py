"""The dashboards without a browser: what they load is there, and what they ask for is served."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from api.app import create_app
from api.routes.ui import CONTENT_SECURITY_POLICY, DIRECTORY
from orchestration.settings import Settings

SCRIPTS = sorted(DIRECTORY.rglob("*.js"))
FILES = sorted(path for path in DIRECTORY.rglob("*") if path.is_file())


class _Page(HTMLParser):
    """What a page loads, and what it would run by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self._in_script = tag in ("script", "style")
        if tag in ("script", "link", "img"):
            self.loads += [value for name in ("src", "href") if (value := values.get(name))]
        self.inline += [name for name in values if name == "style" or name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.inline.append(data)


def test_the_page_loads_its_own_files_and_runs_nothing_inline() -> None:
    page = _Page()
    page.feed((DIRECTORY / "index.html").read_text())
    assert len(page.loads) >= 6
    for path in page.loads:
        assert (DIRECTORY / path).is_file(), path
    assert page.inline == []


def test_the_page_asks_for_every_module_at_once() -> None:
    page = _Page()
    page.feed((DIRECTORY / "index.html").read_text())
    main = (DIRECTORY / "js/main.js").resolve()
    needed, left = {main}, [main]
    while left:
        script = left.pop()
        found = {(script.parent / path).resolve() for path in re.findall(r' from "([^"]+)";', script.read_text())}
        left += found - needed
        needed |= found
    preloaded = [path for path in page.loads if path.endswith(".js")]
    # The script itself is named twice.
    assert sorted(preloaded) == sorted(
        [*(path.relative_to(DIRECTORY.resolve()).as_posix() for path in needed), "js/main.js"]
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(DIRECTORY).as_posix())
def test_every_import_is_a_file_and_has_what_is_imported(script: Path) -> None:
    text = script.read_text()
    assert len(text.splitlines()) <= 400
    for names, path in re.findall(r'^import \{([^}]*)\} from "([^"]+)";', text, re.MULTILINE):
        target = (script.parent / path).resolve()
        assert target.is_file(), path
        exported = set(
            re.findall(r"^export (?:async )?(?:function\*? |class |const |let )(\w+)", target.read_text(), re.M)
        )
        assert {name.strip() for name in names.split(",")} <= exported, path
    # No other way to load a module, and no string that is run.
    assert text.count("import ") == len(re.findall(r"^import \{", text, re.MULTILINE)) + text.count("{import ")
    assert not re.search(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(DIRECTORY).as_posix())
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", path.read_text()))
    # Names of XML, from which nothing is loaded.
    assert {address for address in addresses if "www.w3.org" not in address} == set()


def test_every_path_that_is_asked_for_is_in_openapi() -> None:
    document = create_app(Settings(_env_file=None)).openapi()["paths"]
    text = (DIRECTORY / "js" / "api.js").read_text()
    names = dict(re.findall(r'^const (\w+) = [`"]([^`"]+)[`"];', text, re.MULTILINE))

    def whole(path: str) -> str:
        while "${" in path:
            path = re.sub(r"\$\{(\w+)\}", lambda found: names[found[1]], path)
        return path

    assert f"{whole('${QUANT}')}/alerts/{{alert_id}}/acknowledge" in document
    paths = [whole(path) for path in re.findall(r"^  \w+: `([^`]+)`", text, re.MULTILINE)]
    assert len(paths) >= 14
    for path in paths:
        assert path in document, path
    # Nobody writes a path beside this list.
    for script in SCRIPTS:
        if script.name != "api.js":
            assert "/api/" not in script.read_text(), script


def test_the_policy_allows_no_inline_code() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
