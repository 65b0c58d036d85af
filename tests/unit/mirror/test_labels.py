"""When a label of an enum counts as renamed."""

import pytest

from orchestration.mirror.labels import is_renamed


@pytest.mark.parametrize(
    ("before", "now", "renamed"),
    [
        ('{"1": "a"}', '{"1": "a"}', False),
        ('{"1": "a"}', '{"1": "b"}', True),
        # Added, or gone with its column.
        ('{"1": "a"}', '{"1": "a", "2": "b"}', False),
        ('{"1": "a", "2": "b"}', '{"2": "b"}', False),
        ('{"1": "a", "2": "b"}', '{"1": "b", "2": "a"}', True),
        ("", '{"1": "a"}', False),
        ('{"1": "a"}', "", False),
    ],
)
def test_a_label_is_renamed_when_its_oid_has_another_name(before: str, now: str, renamed: bool) -> None:
    assert is_renamed(before, now) is renamed
