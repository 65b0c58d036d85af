"""The process of `jangar-quant warehouse`: opens the engine, listens, serves until SIGTERM or SIGINT, closes."""

import asyncio
import contextlib
import errno
import faulthandler
import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from orchestration.errors import UserError
from orchestration.settings import Settings
from orchestration.warehouse.access import Accounts
from orchestration.warehouse.engine import Engine
from orchestration.warehouse.lock import DirectoryLock
from orchestration.warehouse.server import WarehouseServer

logger = logging.getLogger(__name__)

# What runs at SIGTERM may finish within this, and is cancelled after.
_GRACE_SECONDS = 5
# clickhouse-connect keeps idle connections; closing them early would race with its next query.
_KEEP_ALIVE_SECONDS = 600
_SLOW_OPEN_SECONDS = 10.0


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UserError: the address is occupied or open to others without a password, the data directory is in use, cannot
            be written or does not open.
    """
    _check_exposure(settings)
    faulthandler.enable()
    data_dir = settings.state_dir / "warehouse"
    with DirectoryLock(data_dir), _listen(settings.warehouse_host, settings.warehouse_port) as listener:
        engine = Engine(data_dir)
        with _slow_open_is_told(data_dir):
            engine.open()
        try:
            # The server stops by itself on these; without handlers of ours they would end the process after that.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: None)
            _run(engine, settings, listener)
        finally:
            engine.close()
    logger.info("closed %s", data_dir)


def _run(engine: Engine, settings: Settings, listener: socket.socket) -> None:
    async def main() -> None:
        application = WarehouseServer(engine, Accounts(settings))
        server = uvicorn.Server(
            uvicorn.Config(
                application,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=True,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        # Broken-off responses are logged by the application, in one line.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        expiry = asyncio.create_task(application.expire_sessions())
        address = ":".join(map(str, listener.getsockname()[:2]))
        logger.info("ready: ClickHouse %s on http://%s", engine.version, address)
        try:
            await server.serve(sockets=[listener])
        finally:
            expiry.cancel()
            await application.close()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop  # type: ignore[return-value]


def _check_exposure(settings: Settings) -> None:
    host = settings.warehouse_host
    if host == "localhost" or settings.clickhouse_password.get_secret_value():
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UserError(
            f"The warehouse would listen on {host}, open to other machines, without a password.",
            "Set CLICKHOUSE_PASSWORD, or set JANGAR_QUANT_WAREHOUSE_HOST to 127.0.0.1.",
        )


@contextlib.contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise UserError(
            f"The address {host!r} of the warehouse does not resolve.", "Correct JANGAR_QUANT_WAREHOUSE_HOST."
        ) from None
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(512)
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be bound: {error.strerror}"
            raise UserError(
                f"The address {host}:{port} of the warehouse {reason}.",
                "Stop what listens there, or set JANGAR_QUANT_WAREHOUSE_PORT to a free port.",
            ) from None
        yield listener


@contextlib.contextmanager
def _slow_open_is_told(data_dir: Path) -> Iterator[None]:
    """Log while opening takes long: a blocked engine says nothing itself."""
    opened = threading.Event()

    def tell() -> None:
        waited = 0.0
        while not opened.wait(_SLOW_OPEN_SECONDS):
            waited += _SLOW_OPEN_SECONDS
            logger.warning("still opening %s after %.0f s", data_dir, waited)

    threading.Thread(target=tell, daemon=True, name="slow-open").start()
    try:
        yield
    finally:
        opened.set()
