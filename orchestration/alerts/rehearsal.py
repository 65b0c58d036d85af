"""Alerts: what other policies would have told about stored history."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from orchestration.transform.on_demand import sql_moment

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from orchestration.alerts.policies import Policy


@dataclass(frozen=True)
class Episode:
    """An alert that would have opened; `resolved_at` is None when it would still be open at the end."""

    policy_id: str
    strategy_id: str
    account: str
    window: str
    opened_at: datetime
    resolved_at: datetime | None
    peak: float

    @property
    def key(self) -> tuple[str, str, str, str, datetime]:
        """What makes it the same episode under other policies."""
        return (self.policy_id, self.strategy_id, self.account, self.window, self.opened_at)


@dataclass
class Rehearsal:
    """What a set of policies comes to over a time."""

    start: datetime
    end: datetime
    episodes: list[Episode] = field(default_factory=list)

    def of(self, policy_id: str) -> list[Episode]:
        """The episodes of a policy."""
        return [episode for episode in self.episodes if episode.policy_id == policy_id]

    def hours(self, episodes: list[Episode]) -> float:
        """How long they were open together, in hours."""
        seconds = [((episode.resolved_at or self.end) - episode.opened_at).total_seconds() for episode in episodes]
        return sum(seconds) / 3600

    def pages_per_day(self, episodes: list[Episode]) -> float:
        """Openings per day of the time."""
        return len(episodes) / max((self.end - self.start).total_seconds() / 86400, 1e-9)


def rehearse(client: Client, policies: list[Policy], start: datetime, end: datetime) -> Rehearsal:
    """Run policies over the metrics and the signals of the pipeline that are stored of a time."""
    rows = client.query(
        "select policy_id, strategy_id, account, window, alert_id, state, transition_at, opened_at, breached_at, peak"
        " from quant.alert_rehearsal(since = {since:String}, until = {until:String}, policies = "
        + _literal(policies)
        + ") order by transition_at, alert_id",
        parameters={"since": sql_moment(start), "until": sql_moment(end)},
    ).named_results()
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        told[row["alert_id"]].append(row)
    episodes = []
    breaches: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for changes in told.values():
        last = changes[-1]
        episode = Episode(
            last["policy_id"],
            last["strategy_id"],
            last["account"],
            last["window"],
            last["opened_at"].replace(tzinfo=UTC),
            last["transition_at"].replace(tzinfo=UTC) if last["state"] == "resolved" else None,
            last["peak"],
        )
        episodes.append(episode)
        breaches[episode.policy_id].append((last["breached_at"].replace(tzinfo=UTC), episode.resolved_at or end))
    causes = {policy.policy_id: [span for cause in policy.causes for span in breaches[cause]] for policy in policies}
    found = Rehearsal(start, end)
    for episode in episodes:
        if begun := _uninhibited(episode, causes[episode.policy_id], end):
            found.episodes.append(begun)
    return found


def _uninhibited(episode: Episode, causes: list[tuple[datetime, datetime]], end: datetime) -> Episode | None:
    """The episode from when no cause explains it any more; None when it is over by then.

    A cause explains from its first breach, before its own episode opens, as in the evaluation.
    """
    opened_at = episode.opened_at
    for since, until in sorted(causes):
        if since <= opened_at < until:
            opened_at = until
    if opened_at == episode.opened_at:
        return episode
    return replace(episode, opened_at=opened_at) if opened_at < (episode.resolved_at or end) else None


def _literal(policies: list[Policy]) -> str:
    """Policies as an array of tuples in SQL."""
    return "[" + ", ".join("(" + ", ".join(_quoted(v) for v in policy.row()) + ")" for policy in policies) + "]"


def _quoted(value: str | float | int) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return repr(value)
