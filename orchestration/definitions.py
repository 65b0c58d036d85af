"""What Dagster loads: the definitions of every topic under `defs/`. Loading reads files only, no database."""

import dagster as dg

from orchestration.defs.models import assets

defs = dg.Definitions.merge(assets.definitions())
