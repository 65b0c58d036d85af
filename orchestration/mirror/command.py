"""Mirror room: the command `jangar-quant mirror`."""

import signal

import typer

from orchestration.logs import configure_logging
from orchestration.settings import get_settings


def mirror(
    resnapshot: bool = typer.Option(
        False, "--resnapshot", help="Make a new replication slot and copy all tables again; the warehouse stays usable."
    ),
) -> None:
    """Mirror the source's tables into the warehouse until stopped."""
    from orchestration.mirror.service import Service

    settings = get_settings()
    configure_logging("mirror", settings.log_level)
    service = Service(settings, resnapshot=resnapshot)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()
