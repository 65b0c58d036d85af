"""What people do about alerts: one row of `alert_action` each, by the command line and by the API alike."""

from __future__ import annotations

import re
import uuid
from dataclasses import astuple, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Literal

from orchestration.errors import UserError

TABLE, DATABASE = "alert_action", "quant"
LONGEST_SILENCE = timedelta(days=30)
Name = Literal["acknowledge", "silence", "unsilence"]
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Action:
    """A row. An empty id stands for any."""

    actor: str
    action: Name
    reason: str
    alert_id: str = ""
    policy_id: str = ""
    strategy_id: str = ""
    account: str = ""
    silenced_until: datetime | None = None
    action_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    acted_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        """Raises:
        UserError: it gives no reason, or would silence everything.
        """
        if not self.reason.strip():
            raise UserError("reason: is empty.", "Say why: whoever comes next reads it.")
        if not (self.alert_id or self.policy_id or self.strategy_id or self.account):
            raise UserError("A silence over everything is none.", "Give an alert, a policy, a strategy or an account.")

    @property
    def row(self) -> tuple[object, ...]:
        """Its values, as `COLUMNS`."""
        return astuple(self)


COLUMNS = [column.name for column in fields(Action)]


def parse_length(text: str) -> timedelta:
    """Read 30m, 2h or 1d.

    Raises:
        UserError: the text is no such length, or it is too long.
    """
    found = re.fullmatch(r"(\d{1,6})([mhd])", text.strip())
    if not found or int(found[1]) == 0:
        raise UserError(f"for: {text[:20]!r} is no length of time.", "Write it like 30m, 2h or 1d.")
    length = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if length > LONGEST_SILENCE:
        raise UserError(f"for: {text} is too long.", "A silence ends after 30 days at the latest.")
    return length
