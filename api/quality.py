"""How good a frame is."""

from collections.abc import Iterable
from typing import get_args

from api.models import Quality

# From best to worst; a frame is as good as the worst of its values.
_WORSE = {quality: rank for rank, quality in enumerate(("good", "closed", "insufficient_data", "stale", "error"))}
assert set(_WORSE) == set(get_args(Quality))


def worst(qualities: Iterable[Quality]) -> Quality:
    """The worst of the qualities of values; without any value there is not enough data."""
    return max(qualities, key=_WORSE.__getitem__, default="insufficient_data")
