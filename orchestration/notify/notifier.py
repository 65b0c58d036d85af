"""Notify: what each channel has not been told yet, told, and noted in the warehouse once it was taken.

The note follows the message: a notifier that is killed between the two says it once more. Nothing is kept in memory but
when to try again, so that whoever starts next goes on where it stood.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestration.notify.channel import Channel, NotSent
from orchestration.notify.message import compose

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

logger = logging.getLogger(__name__)

SEVERITIES = ("info", "warning", "critical")
# Alerts are evaluated every few seconds, and without the warehouse nobody says that they are not.
SILENT_SECONDS = 60.0
_FIRST_RETRY_SECONDS = 5.0
_LAST_RETRY_SECONDS = 300.0
_DUE = (
    "select * from quant.due_notification(channel = {channel:String}, repeat_seconds = {repeat_seconds:UInt32},"
    " severities = {severities:Array(String)}) order by opened_at, alert_id"
)
_BEGUN = "select count() from quant.alert_notification where channel = {channel:String} and event = 'begin'"
_EVALUATED = "select max(evaluated_at) from quant.alert_state"


@dataclass
class _Progress:
    """Where a channel stands: since when news wait for others, and when a failed message is tried again."""

    waiting_since: float | None = None
    retry_at: float = 0.0
    retry_seconds: float = _FIRST_RETRY_SECONDS


@dataclass
class Notifier:
    """Tells channels. `connect` makes a client of the warehouse; it is called again after a failure."""

    connect: Callable[[], Client]
    channels: list[Channel]
    severity: str
    repeat_seconds: int
    group_seconds: float
    _client: Client | None = None
    _progress: dict[str, _Progress] = field(default_factory=dict)
    _answered_at: float = field(default_factory=time.monotonic)
    _silence_told_at: float | None = None

    def step(self) -> None:
        """Look once for news and tell them. What fails is logged, and tried again by a later step."""
        try:
            if self._client is None:
                self._client = self.connect()
            for channel in self.channels:
                self._tell(self._client, channel)
            if self._is_evaluated(self._client):
                self._answered_at = time.monotonic()
        except Exception as error:
            logger.warning("the warehouse cannot be asked for alerts: %s", error)
            self.close()
        self._watch()

    def close(self) -> None:
        """Close the connection to the warehouse."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _tell(self, client: Client, channel: Channel) -> None:
        progress = self._progress.setdefault(channel.name, _Progress())
        now = time.monotonic()
        if now < progress.retry_at:
            return
        if client.query(_BEGUN, parameters={"channel": channel.name}).result_rows[0][0] == 0:
            _note(client, channel, [{"alert_id": "", "event": "begin"}], "sent", "")
        due = list(
            client.query(
                _DUE,
                parameters={
                    "channel": channel.name,
                    "repeat_seconds": self.repeat_seconds,
                    "severities": list(SEVERITIES[SEVERITIES.index(self.severity) :]),
                },
            ).named_results()
        )
        if not due:
            progress.waiting_since = None
            return
        if progress.waiting_since is None:
            progress.waiting_since = now
        if now - progress.waiting_since < self.group_seconds:
            return
        try:
            channel.send(*compose(due))
        except NotSent as error:
            logger.error("%s took no message about %d alerts: %s", channel.name, len(due), error)
            progress.retry_at = now + progress.retry_seconds
            progress.retry_seconds = min(2 * progress.retry_seconds, _LAST_RETRY_SECONDS)
            _note(client, channel, due, "failed", str(error))
            return
        _note(client, channel, due, "sent", "")
        logger.info("told %s about %d alerts", channel.name, len(due))
        progress.waiting_since, progress.retry_seconds = None, _FIRST_RETRY_SECONDS

    def _is_evaluated(self, client: Client) -> bool:
        evaluated_at = client.query(_EVALUATED).result_rows[0][0]
        return bool((datetime.now(UTC) - evaluated_at).total_seconds() < SILENT_SECONDS)

    def _watch(self) -> None:
        """Tell when nobody evaluates alerts any more: of that the warehouse itself cannot tell."""
        now = time.monotonic()
        is_silent = now - self._answered_at > SILENT_SECONDS
        if is_silent and (self._silence_told_at is None or now - self._silence_told_at > self.repeat_seconds):
            self._tell_all("alerts are not evaluated", "The warehouse does not evaluate alerts.", "failure")
            self._silence_told_at = now
        elif not is_silent and self._silence_told_at is not None:
            self._tell_all("alerts are evaluated again", "The warehouse evaluates alerts again.", "success")
            self._silence_told_at = None

    def _tell_all(self, title: str, body: str, kind: str) -> None:
        for channel in self.channels:
            try:
                channel.send(f"jangar-quant: {title}", body, kind)
            except NotSent as error:
                logger.error("%s took no message: %s", channel.name, error)


def _note(client: Client, channel: Channel, rows: list[dict[str, Any]], outcome: str, error: str) -> None:
    now = datetime.now(UTC)
    client.insert(
        "alert_notification",
        [[now, channel.name, row["alert_id"], row["event"], outcome, error] for row in rows],
        column_names=["notified_at", "channel", "alert_id", "event", "outcome", "error"],
        database="quant",
        settings={"async_insert": 0},
    )
