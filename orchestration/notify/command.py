"""Notify: the command `jangar-quant notify`."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer

from orchestration.errors import UserError
from orchestration.logs import configure_logging
from orchestration.settings import get_settings

# Alerts are evaluated every five seconds.
_STEP_SECONDS = 2.0


def notify(
    test: Annotated[
        bool, typer.Option("--test", help="Send a message to every channel, say how it went, and end.")
    ] = False,
) -> None:
    """Tell people which alerts opened and ended, on the channels of JANGAR_QUANT_NOTIFY_URLS."""
    from orchestration.notify.channel import NotSent, channels_of
    from orchestration.notify.notifier import Notifier
    from orchestration.warehouse.client import connect

    settings = get_settings()
    channels = channels_of(settings.notify_urls.get_secret_value())
    if not channels:
        raise UserError("There is no channel.", "Set JANGAR_QUANT_NOTIFY_URLS; docs/alerts.md has examples.")
    if test:
        failed = 0
        for channel in channels:
            try:
                channel.send("jangar-quant: a test", "Alerts will be told here.", "info")
                typer.echo(f"ok      {channel.name}")
            except NotSent as error:
                failed += 1
                typer.echo(f"failed  {channel.name}: {error}")
        raise typer.Exit(1 if failed else 0)
    configure_logging("notify", settings.log_level)
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    notifier = Notifier(
        lambda: connect(settings),
        channels,
        settings.notify_severity,
        settings.notify_repeat_seconds,
        settings.notify_group_seconds,
    )
    while not stopped.is_set():
        notifier.step()
        stopped.wait(_STEP_SECONDS)
    notifier.close()
