"""Source room: the embedded Postgres - real server programs, our own starter, for demo and tests.

One data directory, one port on 127.0.0.1, no Unix socket. The bootstrap superuser is `torghut_app` with a generated
password, which stands in `client.pgpass` (mode 0600) inside the data directory: connection strings name that file
(`passfile=`), so no password is in them, and another user of the machine cannot get in.
"""

import fcntl
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import IO
from urllib.parse import quote

import psycopg

from orchestration.errors import UserError
from orchestration.source.binaries import find_binaries
from orchestration.source.postmaster import clear_stale_lock, processes_of, shut_down
from orchestration.source.privileges import Identity, choose_identity

logger = logging.getLogger(__name__)

USER = "torghut_app"
DATABASE = "torghut"
DEFAULT_MAJOR = 18
PASSFILE = "client.pgpass"
_CONFIGURATION = "jangar_quant.conf"
# Recovery after kill -9 with max_wal_size of WAL to replay took under 10 s on 2 cores; a slow disk may take longer.
_START_SECONDS = 120.0
_LOG_BYTES = 8_000_000

_SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "16",
    "max_wal_senders": "16",
    # A slot that nobody reads may not fill the disk; the mirror takes a new snapshot when it was cut off.
    "max_slot_wal_keep_size": "4GB",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "max_wal_size": "1GB",
    "min_wal_size": "80MB",
    "fsync": "on",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}

# What the server's log says, what is wrong, what to do.
_TROUBLES = (
    ("No space left on device", "The disk is full.", "Free some space under {directory}."),
    ("Permission denied", "The directory {directory} cannot be written.", "Check the owner and mode of {directory}."),
    ("Read-only file system", "The directory {directory} cannot be written.", "Set JANGAR_QUANT_STATE_DIR elsewhere."),
    ("could not bind", "Port {port} is in use.", "Set JANGAR_QUANT_SOURCE_PORT to a free port."),
    ("could not create any TCP/IP sockets", "Port {port} is in use.", "Set JANGAR_QUANT_SOURCE_PORT to a free port."),
    ("incompatible with server", "{directory} belongs to another version of Postgres.", "Remove or move {directory}."),
    ("could not map anonymous shared memory", "There is too little memory.", "Free some memory."),
)


def dsn_for(data_dir: Path, port: int, database: str = DATABASE) -> str:
    """Return the connection string of an embedded Postgres; its password is in the file that `passfile` names."""
    return f"postgresql://{USER}@127.0.0.1:{port}/{quote(database)}?passfile={quote(str(data_dir / PASSFILE), safe='')}"


def read_passfile(path: Path) -> str:
    """Return the password in the embedded server's passfile.

    libpq would read the file itself, but prefers the variable PGPASSWORD, which may be meant for another server.
    """
    return path.read_text(encoding="utf-8").strip().rsplit(":", 1)[1]


class EmbeddedPostgres:
    """A Postgres server of our own on 127.0.0.1.

    Args:
        data_dir: the server's data directory; made when missing. `<data_dir>.log` beside it is the server's log.
        port: TCP port.
        major: 16 or 18 (in the wheel), or what the operating system has under /usr/lib/postgresql.
        options: server settings on top of the defaults (a test's `wal_sender_timeout`, TLS, ...).
    """

    def __init__(
        self, data_dir: Path, port: int, *, major: int = DEFAULT_MAJOR, options: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self.major = major
        self.options = dict(options or {})
        self.log_file = self.data_dir.with_name(self.data_dir.name + ".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None
        self._log_start = 0

    def dsn(self, database: str = DATABASE) -> str:
        """Return the connection string of one of its databases."""
        return dsn_for(self.data_dir, self.port, database)

    def start(self, *, die_with_parent: bool = False) -> None:
        """Initialise the data directory if it is new, start the server, and wait until it accepts connections.

        Processes that a killed predecessor left behind on this directory are ended first. `die_with_parent` makes the
        server shut down when the calling thread ends, however it ends (Linux).

        Raises:
            UserError: port in use, directory unusable or in use, disk full, another major version, no identity.
        """
        try:
            self._start(die_with_parent)
        except OSError as error:
            self.stop()
            raise UserError(
                f"The embedded Postgres cannot use {self.data_dir}: {error.strerror or error}.",
                "Free space or correct the permissions there, or set JANGAR_QUANT_STATE_DIR to another directory.",
            ) from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut the server down: fast, then immediately after 10 s. Does nothing when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            shut_down(self.data_dir)
            try:
                process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                # Interrupted so early that the launcher had not become postgres yet.
                process.kill()
                process.wait()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def run(self) -> None:
        """Serve in the foreground until SIGTERM or SIGINT; prints one line when ready.

        Raises:
            UserError: as `start`; also when the server ends by itself.
        """
        ready, stopping = threading.Event(), threading.Event()

        def request_stop(number: int, frame: FrameType | None) -> None:
            if not stopping.is_set():
                stopping.set()
                if not ready.is_set():
                    # Still initialising or recovering: unwind from wherever we are.
                    raise SystemExit(0)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, request_stop)
        self.start(die_with_parent=True)
        ready.set()
        try:
            print(f"ready: postgres {self.major} on 127.0.0.1:{self.port}", flush=True)
            while not stopping.wait(0.5):
                if self._process is not None and self._process.poll() is not None:
                    raise self._trouble("The embedded Postgres ended by itself")
        finally:
            self.stop()

    def _start(self, die_with_parent: bool) -> None:
        programs = find_binaries(self.major)
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        if processes_of(self.data_dir):
            logger.warning("ending the processes that an earlier postgres left on %s", self.data_dir)
            shut_down(self.data_dir)
        identity = choose_identity(programs / "postgres", self.data_dir.parent)
        self._require_free_port()
        if not self._initialised():
            self._initialise(programs, identity)
        identity.own(self.data_dir)
        clear_stale_lock(self.data_dir)
        self._write_configuration(identity)
        self._rotate_log()
        command = [str(programs / "postgres"), "-D", str(self.data_dir), "-p", str(self.port)]
        with self.log_file.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                identity.command(command, die_with_parent=die_with_parent),
                cwd=self.data_dir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal reaches the whole foreground group; the order of stopping is ours to decide.
                start_new_session=True,
            )
        self._wait_until_ready()

    def _take_lock(self) -> None:
        """Hold `<data_dir>.lock` while we run: two starters on one directory would end each other's server."""
        self._lock = self.data_dir.with_name(self.data_dir.name + ".lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"Another process already runs the embedded Postgres on {self.data_dir}.",
                "Stop it, or set JANGAR_QUANT_STATE_DIR to another directory.",
            ) from None

    def _require_free_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                raise UserError(
                    f"Port {self.port}, which the embedded Postgres needs, is not available: {error.strerror}.",
                    "Stop what uses it, or set JANGAR_QUANT_SOURCE_PORT to a free port.",
                ) from None

    def _initialised(self) -> bool:
        """Whether the data directory holds a cluster of our major version; False when it is missing or empty."""
        if not self.data_dir.exists() or not any(self.data_dir.iterdir()):
            return False
        version_file = self.data_dir / "PG_VERSION"
        if not version_file.exists():
            raise UserError(
                f"{self.data_dir} is neither empty nor a Postgres data directory.",
                "Move it away, or set JANGAR_QUANT_STATE_DIR to another directory.",
            )
        version = version_file.read_text(encoding="ascii").strip()
        if version != str(self.major):
            raise UserError(
                f"{self.data_dir} was made by Postgres {version}, and this is Postgres {self.major}.",
                "Move it away to start with an empty source, or dump and restore it with the programs of that version.",
            )
        if not (self.data_dir / PASSFILE).exists():
            raise UserError(
                f"{self.data_dir} lacks {PASSFILE}, the password of its only user.",
                "Put the file back, or move the directory away to start with an empty source.",
            )
        return True

    def _initialise(self, programs: Path, identity: Identity) -> None:
        """Make the cluster in a directory beside, then rename it into place: a killed start leaves nothing behind.

        The directory has a name of its own: the initdb of a killed start may still be writing into another one, which
        is removed when this one is done.
        """
        prefix = self.data_dir.name + ".new-"
        workshop = Path(tempfile.mkdtemp(prefix=prefix, dir=self.data_dir.parent))
        try:
            data, password_file = workshop / "data", workshop / "password"
            data.mkdir(mode=0o700)
            password = secrets.token_urlsafe(24)
            _write_private(password_file, password + "\n")
            identity.own(workshop)
            arguments = ["-D", str(data), "-U", USER, "--pwfile", str(password_file)]
            arguments += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]
            result = subprocess.run(
                identity.command([str(programs / "initdb"), *arguments]),
                cwd=workshop,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
            if result.returncode != 0:
                raise self._trouble("initdb failed", result.stderr)
            _write_private(data / PASSFILE, f"127.0.0.1:*:*:{USER}:{password}\n")
            identity.own(data / PASSFILE)
            with (data / "postgresql.conf").open("a", encoding="utf-8") as file:
                file.write(f"\ninclude_if_exists = '{_CONFIGURATION}'\n")
            data.rename(self.data_dir)
        finally:
            for directory in self.data_dir.parent.glob(prefix + "*"):
                shutil.rmtree(directory, ignore_errors=True)

    def _write_configuration(self, identity: Identity) -> None:
        """Write our settings on every start; what ALTER SYSTEM set still wins."""
        lines = ["# Written on every start. Use ALTER SYSTEM for settings of your own."]
        for name, value in {**_SETTINGS, **self.options}.items():
            quoted = value.replace("'", "''")
            lines.append(f"{name} = '{quoted}'")
        path = self.data_dir / _CONFIGURATION
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        identity.own(path)

    def _rotate_log(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES:
            self.log_file.replace(self.log_file.with_name(self.log_file.name + ".1"))

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        process = self._process
        while process is not None and process.poll() is None:
            try:
                self._create_database()
                return
            except psycopg.OperationalError as error:
                if "password authentication failed" in str(error):
                    raise UserError(
                        f"The password in {self.data_dir / PASSFILE} is not the one of user {USER}.",
                        "Put the right file back, or move the directory away to start with an empty source.",
                    ) from error
                if time.monotonic() >= deadline:
                    raise self._trouble(f"The embedded Postgres is not ready after {_START_SECONDS:g} s") from error
                time.sleep(0.05)
        raise self._trouble("The embedded Postgres did not start")

    def _create_database(self) -> None:
        password = read_passfile(self.data_dir / PASSFILE)
        with psycopg.connect(
            self.dsn("postgres"), password=password, sslmode="disable", autocommit=True, connect_timeout=5
        ) as connection:
            found = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone()
            if found is None:
                connection.execute(f"create database {DATABASE}")

    def _trouble(self, what: str, output: str | None = None) -> UserError:
        """Explain a failure from `output`, or from the end of the server's log."""
        text = _tail(self.log_file, self._log_start) if output is None else output
        for sign, message, remedy in _TROUBLES:
            if sign in text:
                facts = {"directory": self.data_dir, "port": self.port}
                return UserError(f"{what}: {message.format(**facts)}", remedy.format(**facts))
        lines = [line for line in text.splitlines() if "FATAL" in line or "PANIC" in line or "error" in line.lower()]
        detail = lines[-1].strip() if lines else "no reason was logged"
        return UserError(f"{what}: {detail}", f"See {self.log_file}.")


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _tail(path: Path, start: int, size: int = 8000) -> str:
    """Return the end of what was written to `path` after offset `start`."""
    try:
        return path.read_bytes()[start:][-size:].decode("utf-8", errors="replace")
    except OSError:
        return ""
