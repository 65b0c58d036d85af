"""Sessions of the HTTP interface: a handle that outlives its request, with its temporary tables, SET and USE."""

import time
import uuid
from dataclasses import dataclass, field

from orchestration.warehouse.engine import Handle
from orchestration.warehouse.status import SESSION_IS_LOCKED, SESSION_NOT_FOUND, server_error


@dataclass
class Session:
    """One session; `handle` is None until the first request on it has opened one. `tag` names it to the engine."""

    key: tuple[str, str]
    handle: Handle | None = None
    busy: bool = False
    timeout: int = 60
    expires_at: float = 0.0
    tag: str = field(default_factory=lambda: str(uuid.uuid4()))


class Sessions:
    """The live sessions by (role, session id); used from the event loop only."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, str], Session] = {}

    def acquire(self, role: str, session_id: str, timeout: int, must_exist: bool) -> Session:
        """Return the session, new unless `must_exist`, and hold it until `release`.

        Raises:
            QueryError: SESSION_NOT_FOUND, or SESSION_IS_LOCKED while another request holds it.
        """
        key = (role, session_id)
        session = self._sessions.get(key)
        if session is not None and not session.busy and session.expires_at < time.monotonic():
            self._drop(session)
            session = None
        if session is None:
            if must_exist:
                raise server_error(SESSION_NOT_FOUND, f"Session {session_id[:100]} not found.")
            session = self._sessions[key] = Session(key)
        if session.busy:
            raise server_error(SESSION_IS_LOCKED, f"Session {session_id[:100]} is locked by a concurrent client.")
        session.busy = True
        session.timeout = timeout
        return session

    def release(self, session: Session) -> None:
        """Let go of a session; its timeout counts from now."""
        session.busy = False
        session.expires_at = time.monotonic() + session.timeout
        if session.handle is None:
            self._sessions.pop(session.key, None)

    def expire(self) -> None:
        """Close the sessions whose timeout has passed."""
        now = time.monotonic()
        for session in [s for s in self._sessions.values() if not s.busy and s.expires_at < now]:
            self._drop(session)

    def close(self) -> None:
        """Close every session that no request holds."""
        for session in [s for s in self._sessions.values() if not s.busy]:
            self._drop(session)

    def _drop(self, session: Session) -> None:
        self._sessions.pop(session.key, None)
        if session.handle is not None:
            session.handle.close()
            session.handle = None
