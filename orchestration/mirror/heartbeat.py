"""Mirror room: a heartbeat through the source's WAL, so that an idle source is known to be idle and pins no WAL."""

import logging
import threading

import psycopg

from orchestration.errors import UserError
from orchestration.mirror.contact import Contact
from orchestration.mirror.session import open_session
from orchestration.settings import Settings

logger = logging.getLogger(__name__)

PREFIX = "jangar_quant"


class Heartbeat:
    """A thread that commits a logical message every interval; the stream brings it back as a transaction.

    It also learns how far the source's WAL is (`source_lsn`). A failure is logged once and tried again: without
    heartbeats the copy is right, only the watermark stands still while the source is idle.
    """

    def __init__(self, settings: Settings, contact: Contact) -> None:
        self.source_lsn = 0
        self._contact = contact
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mirror-heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        told = False
        while not self._stop.is_set():
            try:
                with open_session(self._settings, "heartbeat") as connection:
                    told = False
                    self._beat(connection)
            except (psycopg.Error, UserError) as error:
                if not told:
                    logger.warning("no heartbeat: %s", error)
                told = True
                self._stop.wait(1.0)

    def _beat(self, connection: psycopg.Connection) -> None:
        interval = self._settings.mirror_heartbeat_seconds
        while not self._stop.is_set():
            row = connection.execute(
                "select (pg_logical_emit_message(true, %s, clock_timestamp()::text) - '0/0'::pg_lsn)::bigint", (PREFIX,)
            ).fetchone()
            self.source_lsn = int(row[0]) if row else self.source_lsn
            self._contact.hear()
            self._stop.wait(interval)
