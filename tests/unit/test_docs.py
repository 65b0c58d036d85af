"""The generated pages of docs/ say what the code says."""

from orchestration.settings import PROJECT_DIR, Settings
from orchestration.settings_page import settings_markdown
from orchestration.transform.dictionary import dictionary_markdown


def test_settings_page_is_what_the_settings_class_generates() -> None:
    page = PROJECT_DIR / "docs" / "settings.md"
    assert page.read_text() == settings_markdown(), "run `make docs`"


def test_dictionary_page_is_what_the_seed_generates() -> None:
    page = PROJECT_DIR / "docs" / "dictionary.md"
    assert page.read_text() == dictionary_markdown(), "run `make docs`"


def test_every_setting_has_an_environment_variable_and_a_meaning() -> None:
    for name, field in Settings.model_fields.items():
        assert field.alias, name
        assert field.alias.isupper(), name
        assert field.description, name
        assert field.description.endswith((".", ").")), name
