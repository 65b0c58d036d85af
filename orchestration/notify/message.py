"""Notify: what a message says."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from orchestration.transform.frame import stamp

# Apprise's kinds, from which channels take colours and icons.
_KINDS = {"critical": "failure", "warning": "warning", "info": "info"}
_RANKS = list(_KINDS)
_WORDS = {"open": "open", "repeat": "still open", "resolved": "resolved"}
# Chats cut off messages behind some thousand characters.
_LINES = 20

Rows = list[dict[str, Any]]


def compose(rows: Rows) -> tuple[str, str, str]:
    """Title, body and kind of the message about some alerts, which `due_notification` tells.

    The worst come first; behind the twentieth the rest is counted.
    """
    ordered = sorted(
        rows, key=lambda row: (row["event"] == "resolved", _RANKS.index(row["severity"]), row["opened_at"])
    )
    counts = Counter(row["event"] for row in rows)
    title = ", ".join(f"{counts[event]} {word}" for event, word in _WORDS.items() if counts[event])
    lines = [_line(row) for row in ordered[:_LINES]]
    if len(ordered) > _LINES:
        lines.append(f"... and {len(ordered) - _LINES} more: jangar-quant alerts list")
    first = ordered[0]
    kind = "success" if first["event"] == "resolved" else _KINDS[first["severity"]]
    if len(rows) == 1:
        title = f"{_WORDS[first['event']]}: {first['policy_id']}"
    return f"jangar-quant: {title}", "\n".join(lines), kind


def _line(row: dict[str, Any]) -> str:
    scope = " on ".join(part for part in (row["strategy_name"] or row["strategy_id"], row["account"]) if part) or "all"
    window = f" {row['window']}" if row["window"] else ""
    head = f"{_WORDS[row['event']]}, {row['severity']}: {row['policy_id']} of {scope}{window}"
    if row["event"] == "resolved":
        why = f" ({row['reason']})" if row["reason"] else ""
        return (
            f"{head}{why}, {_length(row['opened_at'], row['resolved_at'])} after it opened at {stamp(row['opened_at'])}"
        )
    observed = "no value" if row["observed"] is None else f"{row['observed']:,.6g}"
    said = f"{head}: {row['metric_name']} {observed}, limit {row['threshold']:,.6g}, since {stamp(row['opened_at'])}"
    return f"{said}. {row['runbook']}".rstrip(". ")


def _length(start: datetime, end: datetime) -> str:
    seconds = round((end - start).total_seconds())
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
