"""Source room: start one program without root's identity. Run by path, in a process of its own, by `privileges.py`.

Standard library only and no import of the project: it becomes the program by `exec` after a few milliseconds.

    unprivileged.py namespace UID GID DIE PROGRAM ARG...   appear as UID:GID inside a new user namespace
    unprivileged.py setuid    UID GID DIE PROGRAM ARG...   become UID:GID
    unprivileged.py same      UID GID DIE PROGRAM ARG...   stay who we are

DIE is 1 when the program has to receive SIGINT at the death of its parent (Linux), else 0. Exit code 97: refused.
"""

import ctypes
import os
import signal
import sys

REFUSED = 97
_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def enter_user_namespace(uid: int, gid: int) -> None:
    """Map the present user to `uid`:`gid` in a new user namespace; files are still accessed as the present user."""
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {outer_uid} 1"),
        ("gid_map", f"{gid} {outer_gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib doubles the start time
            file.write(text)


def main(arguments: list[str]) -> None:
    """Change identity as asked, then become the program."""
    mode, uid, gid, die_with_parent = arguments[0], int(arguments[1]), int(arguments[2]), arguments[3] == "1"
    program = arguments[4:]
    parent = os.getppid()
    try:
        if mode == "namespace":
            enter_user_namespace(uid, gid)
        elif mode == "setuid":
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        if die_with_parent and sys.platform == "linux":
            # After the change of identity, which clears it.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
            if os.getppid() != parent:
                sys.exit(REFUSED)
        os.execv(program[0], program)
    except (OSError, AttributeError) as error:
        print(f"{mode}: {error}", file=sys.stderr)
        sys.exit(REFUSED)


if __name__ == "__main__":
    main(sys.argv[1:])
