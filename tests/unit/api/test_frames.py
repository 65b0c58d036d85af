"""Newest frames: one read of the warehouse, however many requests there are."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

import pytest

from api import frames, shared
from api.errors import WarehouseUnavailable
from api.frames import NewestFrames, Scope
from api.warehouse import Warehouse

SCOPE = Scope("", "paper", "1d")


class Clock:
    """A monotonic clock that the test moves."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Queries:
    """Stands for the warehouse, counts what it is asked, and can be away."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.moment = "12:00:01"
        self.away = False

    async def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        self.counts[query] += 1
        # Planning a query for frames takes its time, in which others ask.
        await asyncio.sleep(0.05 if query == "latest_frames" else 0)
        if self.away:
            raise WarehouseUnavailable("away")
        scopes = [Scope(*scope)._asdict() for scope in (parameters or {}).get("scopes", [])]
        return [{"as_of": self.moment, "query": query, **scope} for scope in scopes or [{}]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(shared, "time", clock)
    return clock


async def _asked(newest: NewestFrames, *scopes: Scope) -> list[tuple[list[dict[str, Any]], float]]:
    return await asyncio.gather(*(newest.frame(scope) for scope in scopes))


def test_many_requests_are_one_read(clock: Clock) -> None:
    async def scenario() -> None:
        queries = Queries()
        newest = NewestFrames(cast(Warehouse, queries))
        answers = await _asked(newest, *[SCOPE] * 20)
        assert queries.counts == {"newest_frame": 1, "latest_frames": 1}
        assert {rows[0]["account"] for rows, _ in answers} == {"paper"}
        await _asked(newest, SCOPE, SCOPE._replace(account="paper-crypto"))
        assert queries.counts == {"newest_frame": 1, "latest_frames": 2}

    asyncio.run(scenario())


def test_scopes_that_are_asked_for_together_are_read_together(clock: Clock) -> None:
    async def scenario() -> None:
        queries = Queries()
        newest = NewestFrames(cast(Warehouse, queries))
        scopes = [SCOPE._replace(account=str(number)) for number in range(50)]
        answers = await _asked(newest, *scopes)
        assert [rows[0]["account"] for rows, _ in answers] == [scope.account for scope in scopes]
        # The first asks by itself, the others meanwhile.
        assert queries.counts["latest_frames"] <= 2

    asyncio.run(scenario())


def test_a_newer_frame_is_read_at_once_and_an_old_one_again_when_it_has_aged(clock: Clock) -> None:
    async def scenario() -> None:
        queries = Queries()
        newest = NewestFrames(cast(Warehouse, queries))
        await _asked(newest, SCOPE)
        clock.now += shared.CROWD_SECONDS * 1.1
        queries.moment = "12:00:02"
        ((rows, age),) = await _asked(newest, SCOPE)
        assert (rows[0]["as_of"], age) == ("12:00:02", 0)
        clock.now += frames.ROWS_SECONDS * 0.9
        ((_, age),) = await _asked(newest, SCOPE)
        assert age == pytest.approx(frames.ROWS_SECONDS * 0.9)
        assert queries.counts["latest_frames"] == 2
        clock.now += shared.CROWD_SECONDS * 1.1
        ((_, age),) = await _asked(newest, SCOPE)
        assert age == 0
        assert queries.counts["latest_frames"] == 3

    asyncio.run(scenario())


def test_where_many_ask_nobody_waits_for_a_read_and_nobody_is_told_old_frames_for_long(clock: Clock) -> None:
    async def scenario() -> None:
        queries = Queries()
        newest = NewestFrames(cast(Warehouse, queries))
        await _asked(newest, SCOPE)
        queries.moment = "12:00:02"
        told = []
        for _ in range(20):
            clock.now += 0.05
            began = asyncio.get_running_loop().time()
            ((rows, _),) = await _asked(newest, SCOPE)
            # A read takes 0.05 s.
            assert asyncio.get_running_loop().time() - began < 0.04
            told.append(rows[0]["as_of"])
            await asyncio.sleep(0.02)
        assert told == sorted(told)
        assert (told[0], told[-1]) == ("12:00:01", "12:00:02")
        # A warehouse that does not answer is not covered up.
        queries.away = True

        async def ask_for_three_seconds() -> None:
            for _ in range(30):
                clock.now += 0.1
                await _asked(newest, SCOPE)
                await asyncio.sleep(0.06)

        with pytest.raises(WarehouseUnavailable):
            await ask_for_three_seconds()

    asyncio.run(scenario())


def test_a_failure_is_told_and_not_kept(clock: Clock) -> None:
    async def scenario() -> None:
        queries = Queries()
        newest = NewestFrames(cast(Warehouse, queries))
        queries.away = True
        with pytest.raises(WarehouseUnavailable):
            await _asked(newest, SCOPE)
        queries.away = False
        ((rows, _),) = await _asked(newest, SCOPE)
        assert rows[0]["account"] == "paper"

    asyncio.run(scenario())


def test_the_scopes_kept_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "SCOPES", 2)

    async def scenario() -> None:
        queries = Queries()
        newest = NewestFrames(cast(Warehouse, queries))
        for account in ("a", "b", "a", "c", "a", "b"):
            await _asked(newest, SCOPE._replace(account=account))
        # The one that nobody asked for longest goes: b for c, and b is read again.
        assert queries.counts["latest_frames"] == 4

    asyncio.run(scenario())
