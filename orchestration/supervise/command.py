"""The command `jangar-quant up`."""

import os
import secrets
from typing import Annotated

import typer
from rich.console import Console

from orchestration.settings import get_settings


def up(
    desk: Annotated[bool, typer.Option(help="Simulate a trading desk (only with the embedded Postgres).")] = True,
    dagster: Annotated[bool, typer.Option(help="Start Dagster's web server and daemon.")] = True,
) -> None:
    """Start everything, print the URLs, and stop everything on Ctrl-C.

    Without configuration: an embedded Postgres with a simulated desk, an embedded ClickHouse, the mirror, the
    metrics, the API and Dagster. With TORGHUT_DB_DSN or CLICKHOUSE_URL set, those servers are used instead.
    """
    from orchestration.supervise.up import Up

    # Compute and serving are off by default elsewhere; here they are the point. An explicit `false` wins.
    if "control_plane_enabled" not in get_settings().model_fields_set:
        os.environ["JANGAR_TORGHUT_QUANT_CONTROL_PLANE_ENABLED"] = "true"
    if get_settings().embedded_warehouse and not get_settings().warehouse_readonly_password.get_secret_value():
        # The API reads as a user that can do nothing else. Only the children of this run need to know how.
        os.environ["JANGAR_QUANT_WAREHOUSE_READONLY_PASSWORD"] = secrets.token_urlsafe(24)
    get_settings.cache_clear()
    Up(get_settings(), Console(), desk=desk, dagster=dagster).run()
