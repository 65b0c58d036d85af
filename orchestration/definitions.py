"""What Dagster loads. Loading reads files only, no database."""

from orchestration.defs.everything import definitions
from orchestration.settings import get_settings

defs = definitions(get_settings().dagster_environment)
