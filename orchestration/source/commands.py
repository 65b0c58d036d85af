"""Source room: the commands `jangar-quant postgres` and `jangar-quant source ...`."""

from orchestration.logs import configure_logging
from orchestration.settings import get_settings


def postgres() -> None:
    """Serve the embedded Postgres on 127.0.0.1 until stopped."""
    from orchestration.source.embedded import EmbeddedPostgres

    settings = get_settings()
    configure_logging("postgres", settings.log_level)
    EmbeddedPostgres(settings.source_data_dir, settings.source_port).run()
