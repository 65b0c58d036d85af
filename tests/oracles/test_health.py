"""What the stages of the pipeline say of themselves: who is silent, who is broken, who only waits for another."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.oracles.world import FACTS, World

STATUS = ["slot", "state", "detail", "lsn", "source_lsn", "lag_bytes", "watermark", "source_heard_at", "updated_at"]


@pytest.fixture
def health(world: World) -> Iterator[World]:
    """A world whose mirror has no report yet, and whose API none."""
    for table in ("torghut_raw.mirror_status", "torghut_raw.mirror_checkpoint"):
        world.client.command(f"truncate table {table}")
    yield world
    world.client.command("truncate table torghut_raw.mirror_status")


def report(world: World, *, heard: float | None, reported: float, complete: float, state: str = "streaming") -> None:
    """A report of the mirror; so many seconds ago the source answered, it reported, and it was complete."""
    now = datetime.now(UTC)

    def ago(seconds: float | None) -> datetime | None:
        return None if seconds is None else now - timedelta(seconds=seconds)

    world.client.insert(
        "torghut_raw.mirror_status",
        [["test", state, "", 1, 1, 0, ago(complete), ago(heard), ago(reported)]],
        column_names=STATUS,
        settings={"async_insert": 0},
    )
    world.applied += 1
    world.client.insert(
        "torghut_raw.mirror_checkpoint",
        [["test", world.applied, 1, ago(complete), ago(complete)]],
        column_names=["slot", "applied", "lsn", "watermark", "recorded_at"],
    )


def stage(world: World, name: str) -> dict[str, Any]:
    """What health says of a stage; nothing where it is not there."""
    rows = world.client.query(
        "select * from quant.quant_pipeline_health where stage = {name:String}", parameters={"name": name}
    )
    return next(iter(rows.named_results()), {})


@pytest.mark.parametrize(
    ("heard", "reported", "complete", "source", "mirror"),
    [
        # Everything moves.
        (1, 1, 1, ("writing", "ok", ""), ("ok", "")),
        # The source is silent, the mirror says so: nothing that it could copy.
        (40, 1, 40, ("silent", "late", "silent"), ("late", "stale")),
        # The source answers, the mirror does not get on.
        (1, 1, 40, ("writing", "ok", ""), ("late", "stale")),
        # The mirror stands still: of the source nobody knows.
        (60, 59, 60, ("unknown", "ok", "unknown"), ("failing", "silent")),
    ],
)
def test_a_silent_source_is_told_from_a_silent_mirror(
    health: World,
    heard: float,
    reported: float,
    complete: float,
    source: tuple[str, str, str],
    mirror: tuple[str, str],
) -> None:
    report(health, heard=heard, reported=reported, complete=complete)
    found = stage(health, "source")
    assert (found["state"], found["status"], found["reason"]) == source
    assert found["lag_seconds"] == pytest.approx(heard - reported, abs=0.01)
    found = stage(health, "mirror")
    assert (found["status"], found["reason"]) == mirror


def test_a_source_in_which_nothing_happens_is_idle_and_in_order(health: World) -> None:
    now = datetime.now(UTC)
    report(health, heard=1, reported=1, complete=120)
    # Checkpoints of heartbeats: complete to later, and no row more.
    health.client.insert(
        "torghut_raw.mirror_checkpoint",
        [["test", health.applied, 2, now, now]],
        column_names=["slot", "applied", "lsn", "watermark", "recorded_at"],
    )
    found = stage(health, "source")
    assert (found["state"], found["status"], found["reason"]) == ("idle", "ok", "idle")
    assert stage(health, "mirror")["status"] == "ok"


def test_a_feed_that_does_not_tell_of_its_source_has_no_such_stage(health: World) -> None:
    report(health, heard=None, reported=1, complete=1)
    assert stage(health, "source") == {}
    assert stage(health, "mirror")["status"] == "ok"


def test_who_waits_for_the_mirror_is_late_because_of_it(health: World) -> None:
    report(health, heard=1, reported=1, complete=40)
    health.tick((*FACTS, "quarantined_row_refresh"))
    found = stage(health, "facts")
    assert found["age_seconds"] < found["allowed_lag_seconds"] < found["lag_seconds"]
    assert (found["status"], found["reason"]) == ("late", "upstream_late")


def test_the_past_of_the_stages_is_kept(health: World) -> None:
    report(health, heard=1, reported=1, complete=40)
    health.tick(["pipeline_health_sample_refresh"])
    report(health, heard=1, reported=1, complete=0)
    health.tick(["pipeline_health_sample_refresh"])
    kept = health.client.query(
        "select status from quant.api_pipeline_health_at where stage = 'mirror' order by sampled_at"
    ).result_columns[0]
    assert list(kept) == ["late", "ok"]
    [(late, failing)] = health.client.query(
        "select late_seconds_1h, failing_seconds_1h from quant.api_pipeline_health where stage = 'mirror'"
    ).result_rows
    assert (late, failing) == (10, 0)
