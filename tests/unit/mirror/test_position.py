"""Which differences between source and warehouse stop the mirror."""

from dataclasses import replace

import pytest

from orchestration.errors import UserError
from orchestration.mirror.catalog import Slot
from orchestration.mirror.control import Checkpoint, Position, TableState
from orchestration.mirror.position import check_mark, check_publication, check_server, check_slot
from orchestration.mirror.replication import Identity

POSITION = Position("s", 1, "7000", 1, 0, 100, 5, "created")
SLOT = Slot("pgoutput", "torghut", None, 500, "reserved")
IDENTITY = Identity("7000", 1)
WHOLE = {"t": TableState(1, 1, 1, 1)}


def test_no_gap() -> None:
    check_slot(POSITION, SLOT, "s", "torghut")
    check_slot(None, None, "s", "torghut")
    # The first start was interrupted while the slot was being made.
    check_slot(replace(POSITION, phase="creating"), SLOT, "s", "torghut")
    check_mark(POSITION, SLOT, IDENTITY, Checkpoint(9, 500, 0), WHOLE, {"t"})
    check_publication(5, 5, "p")


@pytest.mark.parametrize(
    ("position", "slot", "message"),
    [
        (None, SLOT, "no record"),
        (POSITION, None, "gone"),
        (POSITION, replace(SLOT, wal_status="lost"), "cut off"),
        (POSITION, replace(SLOT, plugin="wal2json"), "something else"),
        (POSITION, replace(SLOT, database="other"), "something else"),
    ],
)
def test_slot_that_cannot_continue(position: Position | None, slot: Slot | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_slot(position, slot, "s", "torghut")


@pytest.mark.parametrize(
    ("identity", "lsn", "existing", "message"),
    [
        (Identity("8000", 1), 500, {"t"}, "another server"),
        (Identity("7000", 2), 500, {"t"}, "promoted or restored"),
        (IDENTITY, 499, {"t"}, "the copy ends at"),
        (IDENTITY, 500, set(), "lost copies: t"),
    ],
)
def test_gap(identity: Identity, lsn: int, existing: set[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        check_mark(POSITION, SLOT, identity, Checkpoint(9, lsn, 0), WHOLE, existing)
    assert "--resnapshot" in error.value.remedy


def test_no_checkpoint_yet() -> None:
    """Killed after the slot was made: it stands where it began."""
    check_mark(POSITION, replace(SLOT, confirmed_lsn=100), IDENTITY, None, {}, set())


def test_publication_made_again() -> None:
    with pytest.raises(UserError, match="was dropped"):
        check_publication(6, 5, "p")


def test_old_server() -> None:
    check_server(140_000)
    with pytest.raises(UserError, match="Postgres 13; the mirror needs 14 or newer"):
        check_server(130_014)
