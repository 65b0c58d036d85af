"""How far a listener was told, as the id of an event."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

TIERS = ("light", "medium", "heavy")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Cursor:
    """Per tier the last change, since each becomes visible at its own pace, and when alerts were last looked at."""

    light: datetime = _EPOCH
    medium: datetime = _EPOCH
    heavy: datetime = _EPOCH
    alerts: datetime = _EPOCH

    def of(self, tier: str) -> datetime:
        """The last change of a tier."""
        moment: datetime = getattr(self, tier)
        return moment

    def after(self, changes: Iterable[tuple[str, datetime]]) -> Cursor:
        """The cursor behind changes of tiers."""
        newest = {tier: self.of(tier) for tier in TIERS}
        for tier, changed_at in changes:
            newest[tier] = max(newest[tier], changed_at)
        return replace(self, **newest)

    def __str__(self) -> str:
        return "-".join(
            str((moment - _EPOCH) // _MILLISECOND) for moment in (self.light, self.medium, self.heavy, self.alerts)
        )

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read the id of an event; None when it is none of ours."""
        parts = text.split("-")
        if len(parts) != 4 or not all(part.isascii() and part.isdigit() and len(part) <= 14 for part in parts):
            return None
        return cls(*(_EPOCH + int(part) * _MILLISECOND for part in parts))
