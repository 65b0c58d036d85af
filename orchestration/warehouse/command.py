"""The `warehouse` command: serves the embedded ClickHouse."""

from orchestration.logs import configure_logging
from orchestration.settings import get_settings
from orchestration.supervise.niceness import WAREHOUSE, stand_behind


def warehouse() -> None:
    """Serve the embedded ClickHouse over its HTTP interface, until SIGTERM or Ctrl-C."""
    from orchestration.warehouse.serve import serve

    settings = get_settings()
    configure_logging("warehouse", settings.log_level)
    stand_behind(WAREHOUSE)
    serve(settings)
