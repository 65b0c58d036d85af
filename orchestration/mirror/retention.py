"""Mirror room: how long the histories keep a version - for ever, unless a number of days is set."""

import logging
import re

from orchestration.mirror.target import HISTORY, Target

logger = logging.getLogger(__name__)

_OURS = re.compile(r"TTL toDateTime\(_commit_ts\) \+ toIntervalDay\((\d+)\)")


def keep_histories(target: Target, days: int | None) -> None:
    """Have ClickHouse forget versions that were committed more than `days` days ago; None: it keeps all.

    Current tables keep their rows. The history of a copy that was made anew goes with its last version. Nothing is done
    where nothing changes.
    """
    for name, (definition, rows) in target.histories().items():
        found = _OURS.search(definition)
        if days is None:
            if found:
                target.alter(name, "REMOVE TTL")
                logger.info("table %s keeps every version", name)
            continue
        if not name.endswith(HISTORY) and found and not rows:
            target.drop(name)
            logger.info("table %s dropped: its last version was %d days old", name, days)
        elif not found or int(found[1]) != days:
            target.alter(name, f"MODIFY TTL toDateTime(_commit_ts) + toIntervalDay({days})")
            logger.info("table %s keeps versions for %d days", name, days)
