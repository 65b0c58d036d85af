"""Source room: how to run Postgres' programs as somebody who is not root, whoever we are."""

import logging
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from orchestration.errors import UserError

logger = logging.getLogger(__name__)

_LAUNCHER = Path(__file__).with_name("unprivileged.py")
_PREFERRED_USERS = ("postgres", "nobody")


@dataclass(frozen=True)
class Identity:
    """Who runs the server: `mode` of the launcher, the uid and gid it gives, and the owner that files must have."""

    mode: str
    uid: int
    gid: int
    owner_uid: int
    owner_gid: int

    def command(self, program: list[str], *, die_with_parent: bool = False) -> list[str]:
        """Return the command line that starts `program` under this identity."""
        launcher = [sys.executable, "-I", "-S", str(_LAUNCHER)]
        return [*launcher, self.mode, str(self.uid), str(self.gid), str(int(die_with_parent)), *program]

    def own(self, path: Path) -> None:
        """Give `path` and all below it to the owner this identity needs; only root can and only root has to."""
        if os.geteuid() != 0 or not path.exists() or path.stat().st_uid == self.owner_uid:
            return
        for member in (path, *path.rglob("*")):
            os.chown(member, self.owner_uid, self.owner_gid, follow_symlinks=False)


def choose_identity(postgres: Path, directory: Path) -> Identity:
    """Find an identity that can execute `postgres` and reach `directory`.

    An ordinary user with a passwd entry stays as is. Root (which Postgres refuses), or a user without an entry (which
    initdb refuses), first tries a user namespace: files are still opened as the present user, so any path works. Root
    may else become an unprivileged user, if that user can reach both paths.

    Raises:
        UserError: no identity works here.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0 and _has_entry(uid):
        return Identity("same", uid, gid, uid, gid)
    reasons: list[str] = []
    candidates: list[Identity] = []
    for entry in _unprivileged_entries():
        candidates.append(Identity("namespace", entry.pw_uid, entry.pw_gid, uid, gid))
        if uid == 0:
            candidates.append(Identity("setuid", entry.pw_uid, entry.pw_gid, entry.pw_uid, entry.pw_gid))
    # Every namespace before any change of user.
    for identity in sorted(candidates, key=lambda candidate: candidate.mode != "namespace"):
        reason = _obstacle(identity, postgres, directory)
        if reason is None:
            logger.debug("postgres runs with identity %s", identity)
            return identity
        reasons.append(reason)
    detail = reasons[0] if reasons else "no unprivileged user exists"
    who = "root" if uid == 0 else f"user id {uid}, which has no passwd entry"
    raise UserError(
        f"The embedded Postgres cannot run as {who}, and no other identity works here ({detail}).",
        "Run as an ordinary user, or put the environment and JANGAR_QUANT_STATE_DIR where user "
        f"{_PREFERRED_USERS[-1]} can read, or set TORGHUT_DB_DSN to a Postgres of your own.",
    )


def _has_entry(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _unprivileged_entries() -> list[pwd.struct_passwd]:
    entries = []
    for name in _PREFERRED_USERS:
        try:
            entries.append(pwd.getpwnam(name))
        except KeyError:
            continue
    return entries


def _obstacle(identity: Identity, postgres: Path, directory: Path) -> str | None:
    """Say why `identity` cannot run `postgres` or reach `directory`, or None."""
    for program in ([str(postgres), "--version"], ["/bin/sh", "-c", 'cd "$1"', "sh", str(directory)]):
        result = subprocess.run(identity.command(program), capture_output=True, text=True, check=False)
        if result.returncode != 0:
            return (result.stderr.strip() or f"exit code {result.returncode}").splitlines()[-1]
    return None
