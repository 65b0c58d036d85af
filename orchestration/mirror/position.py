"""Mirror room: compares what the source remembers with what the warehouse holds, before anything is streamed.

A difference is a gap: changes that will never be sent. It stops the mirror with what to do; it is never papered over.
"""

from collections.abc import Collection, Mapping

from orchestration.errors import UserError
from orchestration.mirror.catalog import Slot
from orchestration.mirror.control import Checkpoint, Position, TableState
from orchestration.mirror.lsn import format_lsn
from orchestration.mirror.replication import Identity

REPAIR = "Run `jangar-quant mirror --resnapshot` to copy the tables again."


# The first that sends a big transaction while it is still open.
_OLDEST_SERVER = 14


def check_server(version: int) -> None:
    """Refuse a server (version as in `160004`) that cannot send what the mirror asks for.

    Raises:
        UserError: it is too old.
    """
    if version // 10_000 < _OLDEST_SERVER:
        raise UserError(
            f"The source is Postgres {version // 10_000}; the mirror needs {_OLDEST_SERVER} or newer, which sends big "
            "transactions while they are still open.",
            "Upgrade the source, or mirror a logical replica of it on a newer server.",
        )


def check_slot(position: Position | None, slot: Slot | None, name: str, database: str) -> None:
    """Refuse a slot that cannot continue what the warehouse holds.

    Raises:
        UserError: the slot is gone, lost, unknown to the warehouse, or somebody else's.
    """
    if slot is not None and (slot.plugin != "pgoutput" or slot.database != database):
        raise UserError(
            f"Replication slot {name} in the source belongs to something else ({slot.plugin}, {slot.database}).",
            "Set JANGAR_QUANT_MIRROR_SLOT to another name.",
        )
    if position is None:
        if slot is not None:
            raise UserError(
                f"Replication slot {name} exists in the source, but this warehouse has no record of it.",
                "The warehouse was emptied or is another one. " + REPAIR + " If the slot feeds another warehouse, set "
                "JANGAR_QUANT_MIRROR_SLOT to another name.",
            )
        return
    if position.phase == "creating":
        return
    if slot is None:
        raise UserError(
            f"Replication slot {name} is gone from the source: the changes since the last batch are lost to the copy.",
            REPAIR,
        )
    if slot.wal_status == "lost":
        raise UserError(
            f"Replication slot {name} was cut off by the source (max_slot_wal_keep_size): the copy lacks changes.",
            REPAIR + " Let the source keep more WAL if the mirror has to be away for longer.",
        )


def check_publication(oid: int, recorded: int, name: str) -> None:
    """Refuse a publication that was dropped since the slot was made, even if it was made again.

    Changes from the time without it are never sent; servers before version 18 end the stream for good, later ones skip
    them silently.

    Raises:
        UserError: the publication is missing or another one of the same name.
    """
    if oid != recorded:
        raise UserError(f"Publication {name} was dropped: changes since then are lost to the copy.", REPAIR)


def check_mark(
    position: Position,
    slot: Slot,
    identity: Identity,
    checkpoint: Checkpoint | None,
    whole: Mapping[str, TableState],
    existing: Collection[str],
) -> None:
    """Refuse a gap between the warehouse's own mark and where the slot continues.

    Raises:
        UserError: another server or another history of it, a slot that is ahead of the mark, or missing tables.
    """
    if identity.system_identifier != position.system_identifier:
        raise UserError(
            f"The source is another server than the one that was copied (system identifier "
            f"{identity.system_identifier} instead of {position.system_identifier}).",
            "If that is intended (restored or upgraded): " + REPAIR,
        )
    if identity.timeline != position.timeline:
        raise UserError(
            f"The source was promoted or restored since (timeline {identity.timeline} instead of {position.timeline}): "
            "changes that it never had may be in the copy.",
            REPAIR,
        )
    mark = max(checkpoint.lsn if checkpoint else 0, position.consistent_lsn)
    if slot.confirmed_lsn > mark:
        raise UserError(
            f"The slot continues at {format_lsn(slot.confirmed_lsn)}, but the copy ends at {format_lsn(mark)}: the "
            "slot was made again or advanced by somebody else, or the warehouse was restored.",
            REPAIR,
        )
    missing = sorted(set(whole) - set(existing))
    if missing:
        raise UserError(f"The warehouse has lost copies: {', '.join(missing)}.", REPAIR)
