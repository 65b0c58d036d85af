"""Mirror room: the numbers in `_applied` - one per row, growing in the order in which rows become complete.

Readers keep the highest number that they have taken as their cursor. No two rows share a number, so a reader that was
killed between two blocks of one insert continues behind the last row it wrote.
"""

import threading

# What one statement of either side writes takes its numbers from a range of this size.
WIDE = 1 << 32


class Numbers:
    """Hands out numbers; `last` is the highest that is given."""

    def __init__(self, last: int) -> None:
        self.last = last
        self._lock = threading.Lock()

    def take(self, count: int = 1) -> int:
        """Return the first of `count` consecutive numbers; may be called from several threads."""
        with self._lock:
            first = self.last + 1
            self.last += count
            return first
