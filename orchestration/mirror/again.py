"""Mirror room: asking the mirror that runs, here or elsewhere, to copy tables again."""

import time
from collections.abc import Sequence

from orchestration.errors import UserError
from orchestration.mirror.control import Control
from orchestration.mirror.target import Target
from orchestration.settings import Settings

_COPY_SECONDS = 3600.0
# A mirror looks for requests every two seconds.
_TAKEN_SECONDS = 120.0
_POLL_SECONDS = 0.5


def copy_again(settings: Settings, tables: Sequence[str], reason: str) -> None:
    """Ask for tables to be copied again, and wait until they are.

    Raises:
        UserError: no mirror has a copy of one of them, none runs, or it takes longer than an hour.
    """
    target = Target(settings)
    try:
        control = Control(target, settings.mirror_slot)
        known = control.read_tables() if control.exists() else {}
        if unknown := [name for name in tables if name not in known]:
            raise UserError(
                f"The mirror has no copy of {', '.join(unknown)}.", f"It has: {', '.join(sorted(known)) or 'none'}."
            )
        control.ensure_tables()
        for name in tables:
            control.ask_for_copy(name, reason)
        began = time.monotonic()
        while waiting := sorted(control.read_wanted().keys() & set(tables)):
            states = {row[1] for row in control.read_statuses() if row[0] == settings.mirror_slot and row[5] < 60}
            if time.monotonic() - began > (_COPY_SECONDS if states & {"streaming", "snapshotting"} else _TAKEN_SECONDS):
                raise UserError(
                    f"{', '.join(waiting)} was not copied; the mirror is {', '.join(sorted(states)) or 'silent'}.",
                    "It stays asked for: a mirror that streams again copies it. See `jangar-quant mirror status`.",
                )
            time.sleep(_POLL_SECONDS)
    finally:
        target.close()
