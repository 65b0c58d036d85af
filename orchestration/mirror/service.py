"""Mirror room: the mirror as a process - connects, mirrors, reports, and starts over after every failure."""

import logging
import os
import socket
import threading
import time

import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError

from orchestration.errors import NotReachable, UserError
from orchestration.mirror.attempt import Attempt, Stopped
from orchestration.mirror.contact import Contact
from orchestration.mirror.control import Checkpoint, Control
from orchestration.mirror.replication import ReplicationError
from orchestration.mirror.session import open_session
from orchestration.mirror.target import Target
from orchestration.mirror.trouble import (
    Trouble,
    explain_replication,
    is_decoding_failure,
    is_slot_in_use,
    source_trouble,
    warehouse_trouble,
)
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

_SHORTEST_RETRY, _LONGEST_RETRY = 0.2, 5.0
# A killed predecessor keeps the slot for some milliseconds; only who waits longer is a follower.
_FOLLOWER_AFTER_SECONDS = 3.0
# How soon a follower notices that the slot is free.
_FOLLOWER_RETRY = 1.0
_FOLLOWER_REPORT_SECONDS = 5.0
# A log that is kept for some hours should still say what is wrong.
_TELL_AGAIN_SECONDS = 600.0


class Service:
    """Runs until `stop` is called, or until something is wrong that only a person can repair."""

    def __init__(self, settings: Settings, *, resnapshot: bool = False) -> None:
        self._settings = settings
        self._resnapshot = resnapshot
        self._stop = threading.Event()
        self._told = ""
        self._tell_again = 0.0
        self._source_known = self._warehouse_known = False
        self._contact = Contact()
        self._following = False
        self._waiting_since: float | None = None
        self._cannot_decode_early = False
        self._next_report = 0.0

    def stop(self) -> None:
        """Ask the service to drain and end; may be called from a signal handler or another thread."""
        self._stop.set()

    def run(self) -> None:
        """Mirror until stopped. Failures of source, warehouse and network are retried forever.

        Raises:
            UserError: a gap, a setting or a right that a person must repair.
        """
        delay = _SHORTEST_RETRY
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                self._run_once()
            except Stopped:
                break
            except UserError as error:
                self._report_failure("stalled", str(error))
                raise
            except (Trouble, ReplicationError, psycopg.Error, ClickHouseError, OSError) as error:
                if time.monotonic() - started > _LONGEST_RETRY:
                    delay = _SHORTEST_RETRY
                self._handle(error)
                self._stop.wait(min(delay, _FOLLOWER_RETRY) if self._following else delay)
                delay = min(delay * 2, _LONGEST_RETRY)
        self._report_failure("stopped", "")
        logger.info("stopped")

    def _handle(self, error: Exception) -> None:
        """Tell what is wrong, not at each try; following another mirror is no failure."""
        if is_slot_in_use(error):
            self._following = True
            now = time.monotonic()
            self._waiting_since = self._waiting_since or now
            if now - self._waiting_since >= _FOLLOWER_AFTER_SECONDS and now >= self._next_report:
                self._next_report = now + _FOLLOWER_REPORT_SECONDS
                self._tell("following: another mirror holds the slot; waiting to take over")
                self._report_failure("follower", f"waiting on {socket.gethostname()} as pid {os.getpid()}")
            return
        self._cannot_decode_early = is_decoding_failure(error)
        text = " ".join(str(error).split())[:500]
        self._tell(f"interrupted, trying again: {text}")
        self._report_failure("stalled", text)

    def _tell(self, text: str) -> None:
        now = time.monotonic()
        if text != self._told or now >= self._tell_again:
            logger.warning("%s", text)
            self._tell_again = now + _TELL_AGAIN_SECONDS
        self._told = text

    def _report_failure(self, state: str, detail: str) -> None:
        """Write a state when no session runs, if the warehouse can be reached."""
        # Who holds the slot reports under its name; a follower must not overwrite that.
        slot = self._settings.mirror_slot + (":follower" if self._following else "")
        try:
            target = Target(self._settings)
            try:
                control = Control(target, slot)
                last = control.read_checkpoint() or Checkpoint(0, 0, 0)
                control.write_status(state, detail, last.lsn, 0, last.watermark, self._contact.heard_at)
            finally:
                target.close()
        except (UserError, ClickHouseError, OSError):
            logger.debug("state %s could not be reported", state)

    def _run_once(self) -> None:
        target = self._open_target()
        try:
            source = self._open_source()
            try:
                Attempt(
                    self._settings,
                    source,
                    target,
                    self._contact,
                    self._stop,
                    self._slot_held,
                    self._streaming,
                    early=not self._cannot_decode_early,
                ).run(self._resnapshot)
            except ReplicationError as error:
                raise explain_replication(error, self._settings) from error
            except NotReachable as error:
                # Both sides were in use a moment ago.
                raise Trouble(error.message) from error
            finally:
                source.close()
        finally:
            target.close()

    def _slot_held(self) -> None:
        if self._following and self._next_report:
            # Under the follower's name, which nobody has now.
            self._report_failure("stopped", "took over")
        self._following = False
        self._next_report = 0.0
        self._waiting_since = None

    def _streaming(self) -> None:
        """The copy is complete and the stream runs: earlier trouble is over."""
        self._resnapshot = False
        self._told = ""

    def _open_source(self) -> psycopg.Connection:
        try:
            source = open_session(self._settings, "catalog")
        except UserError as error:
            raise source_trouble(error, final=not self._source_known) from error
        self._source_known = True
        self._contact.hear()
        return source

    def _open_target(self) -> Target:
        try:
            target = Target(self._settings)
        except UserError as error:
            raise warehouse_trouble(error, final=not self._warehouse_known) from error
        self._warehouse_known = True
        return target
