"""Transform: checking the dbt project without a warehouse; `python -m orchestration.transform.parse`."""

import sys
import tempfile
from pathlib import Path

from orchestration.errors import UserError
from orchestration.settings import get_settings
from orchestration.transform.dbt import run_dbt


def main() -> int:
    """Parse the project in a temporary state directory; print what is wrong and return 1 when it does not parse."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            run_dbt(
                get_settings().model_copy(update={"state_dir": Path(directory)}),
                ["parse", "--warn-error-options", '{"error": ["Deprecations"]}'],
            )
        except UserError as error:
            print(error.message, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
