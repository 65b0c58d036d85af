"""Alerts: a file of policies, as `seeds/alert_policies.csv` has them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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
    open_after: int = Field(ge=1)
    clear_after: int = Field(ge=1)
    severity: Literal["critical", "warning", "info"]
    category: Literal["strategy", "data"]
    session_gated: Literal["0", "1"]
    on_missing: Literal["keep", "open", "resolve"]
    inhibited_by: str = ""
    runbook: str = ""
    description: str = ""

    @property
    def causes(self) -> list[str]:
        """Policies whose open episodes explain this one."""
        return self.inhibited_by.split()

    @model_validator(mode="after")
    def _can_end(self) -> Policy:
        is_above = self.comparison.endswith("above")
        if self.clear_threshold > self.threshold if is_above else self.clear_threshold < self.threshold:
            raise ValueError(f"clear_threshold is {'above' if is_above else 'below'} the threshold")
        return self

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
            where = ", ".join([f"{path}", f"line {line}", *(str(part) for part in first["loc"])])
            message = f"{where}: {first['msg'].removeprefix('Value error, ')}."
            raise UserError(message, "docs/alerts.md lists the columns.") from None
    if not found:
        raise UserError(f"{path} has no policies.", "Give a CSV file like seeds/alert_policies.csv.")
    names = [policy.policy_id for policy in found]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise UserError(f"{path} has {', '.join(doubled)} twice.", "policy_id is the name of a policy.")
    unknown = sorted({cause for policy in found for cause in policy.causes} - set(names))
    if unknown:
        raise UserError(f"{path}: inhibited_by names {', '.join(unknown)}.", "Name policies of the same file.")
    return found
