"""Mirror room: which failures are waited out, and which only a person can end."""

import psycopg

from orchestration.errors import UserError
from orchestration.mirror.position import REPAIR
from orchestration.mirror.replication import SLOT_IN_USE, ReplicationError
from orchestration.settings import Settings

_INTERNAL_ERROR = "XX000"
_OBJECT_NOT_IN_STATE, _UNDEFINED_OBJECT, _NO_PRIVILEGE = "55000", "42704", "42501"


class Trouble(Exception):
    """Source or warehouse cannot be used right now; it is tried again."""


def is_slot_in_use(error: BaseException) -> bool:
    """Whether another session holds the slot."""
    return isinstance(error, ReplicationError) and error.sqlstate == SLOT_IN_USE


def is_decoding_failure(error: BaseException) -> bool:
    """Whether the server failed within its own decoding.

    Up to version 18 it cannot decode a transaction that is still open when that altered a table, rolled this back to a
    savepoint, and altered the table again ("could not map filenumber ... to relation OID"). After its end it can.
    """
    return isinstance(error, ReplicationError) and error.sqlstate == _INTERNAL_ERROR


def source_trouble(error: UserError, *, final: bool) -> Exception:
    """Return what to raise when the source cannot be opened.

    With `final` (never reached yet) a refused login, a missing database or an untrusted certificate is the person's to
    correct. Later, and for everything that time may heal, it is trouble.
    """
    origin = error.__context__
    if final and isinstance(origin, psycopg.Error):
        refused = (origin.sqlstate or "")[:2] in ("28", "3D", "42") or "certificate" in str(origin)
        return error if refused else Trouble(error.message)
    return error if final and origin is None else Trouble(error.message)


def warehouse_trouble(error: UserError, *, final: bool) -> Exception:
    """Return what to raise when the warehouse cannot be opened; the same rule as for the source."""
    cause = error.__cause__
    refused = cause is None or getattr(cause, "code", None) is not None
    return error if final and refused else Trouble(error.message)


def explain_replication(error: ReplicationError, settings: Settings) -> Exception:
    """Return the UserError for a failure of replication that time does not heal, else the error itself."""
    text = str(error)
    if error.sqlstate == _OBJECT_NOT_IN_STATE and "replication slot" in text:
        return UserError(f"The source can no longer serve slot {settings.mirror_slot}: {text}.", REPAIR)
    if error.sqlstate == _UNDEFINED_OBJECT and "publication" in text:
        return UserError(
            f"Publication {settings.mirror_publication} was dropped: {text}. Changes since then cannot be read, even "
            "when it is made again.",
            REPAIR,
        )
    if error.sqlstate == _NO_PRIVILEGE or "permission denied" in text or "replication role" in text:
        return UserError(
            f"The source's user may not replicate: {text}.", "Let an administrator run: ALTER ROLE ... REPLICATION;"
        )
    return error
