"""Constants that are views, as refreshes of the ledger and of order outcomes name them: one value in all of a query.

Were a cursor evaluated once more in a view that names it too, what came in between would be taken as done and lost.
"""

import pytest

from tests.integration.warehouse.processes import Http

_CONSTANTS = "(SELECT progress FROM {0}.progress) AS progress, (SELECT changes FROM {0}.changes) AS changes"
_LATE = "(SELECT late FROM {0}.late) AS late"
_VALUES = "SELECT progress.1 AS own, arrayJoin(changes).2 AS behind_one, late[1].2 AS behind_two FROM system.one"


@pytest.fixture
def views(http: Http, database: str) -> str:
    """A value that differs with every evaluation, a view that names it, and one that names that one."""
    for name, text in {
        "progress": "SELECT (toString(generateUUIDv4()), 1) AS progress",
        "changes": f"WITH (SELECT progress FROM {database}.progress) AS progress"
        " SELECT groupArray((number, progress.1)) AS changes FROM numbers(3)",
        "late": f"WITH (SELECT changes FROM {database}.changes) AS changes"
        " SELECT arrayFilter(entry -> entry.1 > 0, changes) AS late",
    }.items():
        http.sql(f"CREATE VIEW {database}.{name} AS {text}")
    return database


@pytest.mark.parametrize("constants", [f"{_CONSTANTS}, {_LATE}", f"{_LATE}, {_CONSTANTS}"], ids=["first", "last"])
def test_a_constant_of_a_view_has_one_value_in_a_query(http: Http, views: str, constants: str) -> None:
    http.sql(f"CREATE VIEW {views}.pending AS WITH {constants.format(views)} {_VALUES} UNION ALL {_VALUES}")
    for _ in range(20):
        rows = [row.split("\t") for row in http.sql(f"SELECT * FROM {views}.pending").splitlines()]
        assert len(rows) == 6
        assert len({value for row in rows for value in row}) == 1


def test_named_as_a_table_it_has_another_value_each_time(http: Http, views: str) -> None:
    """So the test above would tell a second evaluation."""
    found = http.sql(f"SELECT a.progress = b.progress FROM {views}.progress AS a CROSS JOIN {views}.progress AS b")
    assert found.strip() == "0"
