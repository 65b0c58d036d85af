"""Transform: holding every metric's formula_version to its formula; `python -m orchestration.transform.formulas`.

A stored value says by which version of its formula it was computed. That means something only if another formula never
bears the same version: analyses/formulas.lock.csv keeps, per metric, its version and the fingerprint of the SQL that it
had then. When the SQL changes, the version has to be raised in seeds/metric_definitions.csv; `--write` then notes both.
"""

import csv
import hashlib
import re
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from orchestration.errors import UserError
from orchestration.settings import PROJECT_DIR, get_settings
from orchestration.transform.dbt import run_dbt

LOCK = PROJECT_DIR / "analyses" / "formulas.lock.csv"
DEFINITIONS = PROJECT_DIR / "seeds" / "metric_definitions.csv"


class Formula(NamedTuple):
    """Version of a metric's formula and the fingerprint of its SQL."""

    version: str
    fingerprint: str


def main(arguments: list[str]) -> int:
    """Compare the formulas with the lock, or with `--write` note them there; print what is wrong and return 1 then."""
    try:
        formulas = current_formulas()
    except UserError as error:
        print(error.message, file=sys.stderr)
        return 1
    locked = read_lock()
    stale = [name for name, formula in formulas.items() if is_changed_in_silence(formula, locked.get(name))]
    for name in stale:
        print(
            f"{name}: its SQL changed, its formula_version did not: raise it in {DEFINITIONS.name}, then run"
            " `make formulas`.",
            file=sys.stderr,
        )
    if stale:
        return 1
    if "--write" in arguments:
        write_lock(formulas)
    elif formulas != locked:
        names = sorted(name for name in formulas.keys() | locked.keys() if formulas.get(name) != locked.get(name))
        print(f"{LOCK.name} is behind for {', '.join(names)}: run `make formulas`.", file=sys.stderr)
        return 1
    return 0


def is_changed_in_silence(formula: Formula, locked: Formula | None) -> bool:
    """Whether the SQL is another one under the same version."""
    return locked is not None and formula.fingerprint != locked.fingerprint and formula.version == locked.version


def current_formulas() -> dict[str, Formula]:
    """Every metric of the dictionary with the fingerprint of the SQL of its family.

    Raises:
        UserError: the project does not compile, or the dictionary and the formulas do not name the same metrics.
    """
    with DEFINITIONS.open(newline="", encoding="utf-8") as source:
        versions = {row["metric_name"]: row["formula_version"] for row in csv.DictReader(source)}
    fingerprints: dict[str, str] = {}
    for text in families(compiled()):
        for name in metric_names(text):
            fingerprints[name] = fingerprint(text)
    if fingerprints.keys() != versions.keys():
        raise UserError(
            "Formulas and dictionary differ in: " + ", ".join(sorted(fingerprints.keys() ^ versions.keys())),
            f"Every metric has a formula in macros/metrics and a row in {DEFINITIONS.name}.",
        )
    return {name: Formula(versions[name], fingerprints[name]) for name in sorted(versions)}


def compiled() -> str:
    """The analysis `formulas` as SQL; no warehouse is asked."""
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        run_dbt(
            get_settings().model_copy(update={"state_dir": state}),
            ["compile", "--select", "formulas", "--no-introspect", "--no-populate-cache"],
        )
        (path,) = (state / "dbt" / "target" / "compiled").rglob("formulas.sql")
        return path.read_text(encoding="utf-8")


def families(text: str) -> list[str]:
    """The parts of the analysis, one per family."""
    return re.split(r"-- family: \w+\n", text)[1:]


def metric_names(text: str) -> list[str]:
    """Names of the metrics that a family computes."""
    return re.findall(r"\(\s*'([a-z0-9_]+)',\s*toNullable\(toFloat64", text)


def fingerprint(text: str) -> str:
    """Of what the SQL says, whatever its layout and its comments."""
    words = re.sub(r"--[^\n]*", "", text).split()
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]


def read_lock() -> dict[str, Formula]:
    """What was noted last, nothing when nothing was."""
    if not LOCK.exists():
        return {}
    with LOCK.open(newline="", encoding="utf-8") as source:
        return {
            row["metric_name"]: Formula(row["formula_version"], row["fingerprint"]) for row in csv.DictReader(source)
        }


def write_lock(formulas: dict[str, Formula]) -> None:
    """Note the formulas."""
    with LOCK.open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["metric_name", "formula_version", "fingerprint"])
        writer.writerows([name, *formula] for name, formula in formulas.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
