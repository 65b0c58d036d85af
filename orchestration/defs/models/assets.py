"""Every dbt model and seed as an asset with its lineage and tests, and the job that rebuilds them."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets

from orchestration.errors import UserError
from orchestration.settings import PROJECT_DIR, get_settings
from orchestration.transform.build import views_paused


def definitions() -> dg.Definitions:
    """Assets of the dbt project as it was last built.

    Raises:
        UserError: it was never built, so there is no manifest to load.
    """
    directory = get_settings().state_dir / "dbt"
    manifest = directory / "target" / "manifest.json"
    if not manifest.exists():
        raise UserError(f"The dbt project was never built: {manifest} is missing.", "Run `make up` first.")

    # One run at a time may build: two dbt runs would replace each other's tables.
    @dbt_assets(manifest=manifest, pool="dbt")
    def models(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
        # Unit tests prove the SQL, not the data: they belong to the test suite.
        with views_paused(get_settings()):
            yield from dbt.cli(["build", "--exclude-resource-type", "unit_test"], context=context).stream()

    project = DbtProject(project_dir=PROJECT_DIR, target_path=directory / "dagster", profiles_dir=PROJECT_DIR)
    rebuild = dg.define_asset_job("rebuild_models", selection=dg.AssetSelection.assets(models))
    # The dbt of this environment, wherever PATH points.
    dbt = DbtCliResource(project_dir=project, dbt_executable=str(Path(sys.executable).parent / "dbt"))
    return dg.Definitions(assets=[models], jobs=[rebuild], resources={"dbt": dbt})
