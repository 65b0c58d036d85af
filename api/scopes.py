"""Names in requests."""

from api.errors import ApiError
from api.frames import NewestFrames


async def resolve_strategy(frames: NewestFrames, wanted: str) -> tuple[str, str]:
    """Resolve an id or a name to (id, name); empty stays empty.

    Raises:
        ApiError: there is no such strategy, or more than one.
    """
    if not wanted:
        return "", ""
    known = await frames.strategies()
    matches = [row for row in known if wanted in (row["strategy_id"], row["strategy_name"])]
    if len(matches) == 1:
        return matches[0]["strategy_id"], matches[0]["strategy_name"]
    if matches:
        ids = ", ".join(row["strategy_id"] for row in matches)
        raise ApiError(
            400, f"strategy_id: {len(matches)} strategies are named {wanted!r}.", f"Use one of the ids {ids}."
        )
    names = ", ".join(sorted(row["strategy_name"] for row in known)) or "none yet"
    raise ApiError(404, f"strategy_id: there is no strategy {wanted!r}.", f"Known: {names}.")
