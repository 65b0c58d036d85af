"""Alerts: a file of policies, as `seeds/alert_policies.csv` has them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestration.errors import UserError


class Policy(BaseModel):
    """A row of the file; docs/alerts.md says what the columns mean."""

    model_config = ConfigDict(extra="forbid")

    policy_id: str
    subject: Literal["metric", "health"]
    signal: str
    strategy: str
    account: str
    window: str
    comparison: Literal["above", "below", "abs_above", "abs_below"]
    threshold: float
    clear_threshold: float
    open_after: int
    clear_after: int
    severity: Literal["critical", "warning", "info"]
    category: Literal["strategy", "data"]
    session_gated: Literal["0", "1"]
    on_missing: Literal["keep", "open", "resolve"]
    inhibited_by: str = ""
    runbook: str = ""
    description: str = ""

    def row(self) -> tuple[str | float | int, ...]:
        """The columns that a rehearsal needs, in its order."""
        values = {**self.model_dump(exclude={"description"}), "session_gated": int(self.session_gated)}
        return tuple(values.values())


def read_policies(path: Path) -> list[Policy]:
    """Read a file of policies.

    Raises:
        UserError: the file cannot be read, or a row is wrong; the message names line and column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as source:
            rows = list(csv.DictReader(source))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}.", "Give a CSV file like seeds/alert_policies.csv.") from error
    found: list[Policy] = []
    for line, row in enumerate(rows, start=2):
        try:
            found.append(Policy.model_validate(row))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            message = f"{path}, line {line}, {where}: {first['msg']}."
            raise UserError(message, "docs/alerts.md lists the columns.") from None
    if not found:
        raise UserError(f"{path} has no policies.", "Give a CSV file like seeds/alert_policies.csv.")
    names = [policy.policy_id for policy in found]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UserError(f"{path} has {', '.join(doubled)} twice.", "policy_id is the name of a policy.")
    return found
