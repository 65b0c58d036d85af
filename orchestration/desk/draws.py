"""Reproducible randomness: every random stream of the desk is named by what it decides, never by when it is drawn."""

import hashlib
from random import Random


def stream(*name: object) -> Random:
    """Return the generator of the stream called `name`; equal names give equal draws, in any process."""
    text = "|".join(str(part) for part in name)
    return Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))
