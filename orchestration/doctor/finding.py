"""Doctor room: one finding of a check."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """What one check found. `remedy` says what to do when the state is not ok."""

    area: str
    check: str
    state: State
    detail: str
    remedy: str = ""
